"""Find retired phrases and names in the repository's text, for ``make lint``.

``docs/style.txt`` lists them, each with a replacement. ``python docs/style.py PATH...`` checks only
files below the paths.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
RULES = ROOT / "docs" / "style.txt"
FILES = re.compile(r".*\.(py|md|go|js|html|css)|etc/.*|Makefile")
OWN = ("docs/style.py", "tests/unit/test_docs.py")


class Section(NamedTuple):
    """Rules as one pattern, with a group `r<n>` for each, and what to write for the nth."""

    pattern: re.Pattern[str]
    instead: list[str]
    in_code: bool


class Finding(NamedTuple):
    """A retired word at a line, counted from 1."""

    line: int
    text: str
    instead: str


def read_sections(text: str) -> list[Section]:
    """Parse lines of ``pattern -> instead`` in the sections of ``docs/style.txt``.

    Patterns are regular expressions of whole words; a space also matches a line break.
    """
    sections = []
    for part in re.split(r"^(?=\[\w+\]$)", text, flags=re.MULTILINE)[1:]:
        title, *lines = part.splitlines()
        rules = [line.split(" -> ", 1) for line in lines if line and not line.startswith("#")]
        groups = "|".join(f"(?P<r{n}>{pattern})" for n, (pattern, _) in enumerate(rules))
        flags = re.IGNORECASE if title == "[phrases]" else 0
        pattern = re.compile(rf"\b(?=\w)(?:{groups})(?!\w)".replace(" ", r"\s"), flags)
        sections.append(Section(pattern, [instead for _, instead in rules], title == "[names]"))
    return sections


def unwrap(path: str, text: str) -> str:
    """Remove indentation and comment signs, so that a phrase is found across lines."""
    if path.endswith(".md"):
        return re.sub(r"\n[ >]+", "\n", text)
    return re.sub(r"\n[ \t]*(?:(?:#:?|//|\*)[ \t]+)?", "\n", re.sub(r"(?<=  )# ", ". ", text))


def check(path: str, text: str, sections: list[Section]) -> list[Finding]:
    """Return the retired words in the text of a file, in order."""
    text, is_code = unwrap(path, text), path.endswith((".py", ".go", ".js"))
    return sorted(
        Finding(
            text.count("\n", 0, found.start()) + 1,
            " ".join(found[0].split()),
            section.instead[int(str(found.lastgroup)[1:])],
        )
        for section in sections
        if is_code or not section.in_code
        for found in section.pattern.finditer(text)
    )


def files() -> Iterator[str]:
    """Yield the paths of the files that are checked, relative to the repository."""
    listed = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    for path in listed:
        if FILES.fullmatch(path) and path not in OWN:
            yield path


def is_below(path: str, parents: list[str]) -> bool:
    """Return whether a path is one of the parents, or lies in one."""
    return any(path == parent or path.startswith(f"{parent}/") for parent in parents)


def main(arguments: list[str]) -> int:
    """Print every finding, or those below the arguments; return the exit code."""
    sections = read_sections(RULES.read_text(encoding="utf-8"))
    chosen = [argument.rstrip("/") for argument in arguments]
    failed = False
    for path in files():
        if not (ROOT / path).is_file() or (chosen and not is_below(path, chosen)):
            continue
        for line, text, instead in check(path, (ROOT / path).read_text(encoding="utf-8"), sections):
            failed = True
            print(f"{path}:{line}: {text} -> {instead}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
