"""Find retired phrases and names in the repository's text, for ``make lint``.

``docs/style.txt`` lists them, each with what to write in its place. Files below a path of
``docs/style-baseline.txt`` are not mended yet: without arguments they are skipped. With arguments,
``python docs/style.py PATH...``, every file below the paths is checked.
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
BASELINE = ROOT / "docs" / "style-baseline.txt"
FILES = re.compile(r".*\.(py|md|go|js|html|css)|etc/.*|Makefile")
OWN = ("docs/style.py", "tests/unit/test_docs.py")


class Rule(NamedTuple):
    """A retired word, and what to write in its place; rules of names hold in code alone."""

    pattern: re.Pattern[str]
    instead: str
    in_code: bool


class Finding(NamedTuple):
    """A retired word at a line, counted from 1."""

    line: int
    text: str
    instead: str


def read_rules(text: str) -> list[Rule]:
    """Parse lines of ``pattern -> instead`` in the sections of ``docs/style.txt``.

    Patterns are regular expressions of whole words; a space also matches a line break.
    """
    rules, section = [], ""
    for line in text.splitlines():
        if line.startswith("[") and line.endswith("]"):
            section = line
        elif line and not line.startswith("#"):
            pattern, _, instead = line.partition(" -> ")
            spaced = pattern.replace(" ", r"\s")
            flags = re.IGNORECASE if section == "[phrases]" else 0
            compiled = re.compile(rf"(?<!\w)(?:{spaced})(?!\w)", flags)
            rules.append(Rule(compiled, instead, section == "[names]"))
    return rules


def unwrap(path: str, text: str) -> str:
    """Remove indentation and comment signs, so that a phrase is found across lines."""
    if path.endswith(".md"):
        return re.sub(r"\n[ >]+", "\n", text)
    return re.sub(r"\n[ \t]*(?:(?:#:?|//|\*)[ \t]+)?", "\n", re.sub(r"(?<=  )# ", ". ", text))


def check(path: str, text: str, rules: list[Rule]) -> list[Finding]:
    """Return the retired words in the text of a file, in order."""
    text, is_code = unwrap(path, text), path.endswith((".py", ".go", ".js"))
    findings = [
        Finding(text.count("\n", 0, found.start()) + 1, " ".join(found[0].split()), rule.instead)
        for rule in rules
        if is_code or not rule.in_code
        for found in rule.pattern.finditer(text)
    ]
    return sorted(findings)


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
    """Print every finding outside the baseline, or below the arguments; return the exit code."""
    rules = read_rules(RULES.read_text(encoding="utf-8"))
    baseline = [] if arguments else BASELINE.read_text(encoding="utf-8").split()
    chosen = [argument.rstrip("/") for argument in arguments]
    unused = set(baseline)
    failed = False
    for path in files():
        if not (ROOT / path).is_file() or (chosen and not is_below(path, chosen)):
            continue
        findings = check(path, (ROOT / path).read_text(encoding="utf-8"), rules)
        if is_below(path, baseline):
            if findings:
                unused -= {parent for parent in baseline if is_below(path, [parent])}
            continue
        for line, text, instead in findings:
            failed = True
            print(f"{path}:{line}: {text} -> {instead}")
    for parent in sorted(unused):
        print(f"docs/style-baseline.txt: {parent} is mended; remove its line")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
