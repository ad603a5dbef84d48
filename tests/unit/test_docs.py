"""Compare the documentation with the code, and test the checker of its style."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from peers.readme import PYTHON_TEMPLATE, python_example

from goloagent.runs.transitions import TRANSITIONS, Phase

ROOT = Path(__file__).parents[2]
DOCS, TESTS = ROOT / "docs", ROOT / "tests"


def load(name: str) -> ModuleType:
    """Import a program of docs/, which is not a package."""
    description = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert description is not None
    assert description.loader is not None
    module = importlib.util.module_from_spec(description)
    description.loader.exec_module(module)
    return module


def test_the_readme_shows_the_example() -> None:
    """The load test in the README is the one of `golo new python`, which is tested."""
    assert python_example() == PYTHON_TEMPLATE.read_text(encoding="utf-8")


def test_the_lifecycle_page_is_rendered_from_the_table() -> None:
    """The page is current, has a row for each transition, and draws an arrow to each phase."""
    page = load("lifecycle")
    text = page.render()
    assert page.PAGE.read_text(encoding="utf-8") == text, "run `make docs`"
    rows = re.findall(r"^\| ([A-Z_]+) \| ([A-Z_]+) \| ([A-Z_]+) \|", text, re.MULTILINE)
    assert rows == [(p.name, e.name, then.phase.name) for (p, e), then in TRANSITIONS.items()]
    arrows = re.findall(r"^    (\S+) --> ([A-Z_]+|\[\*\])", text, re.MULTILINE)
    assert {there for _, there in arrows} == {phase.name for phase in Phase} | {"[*]"}


def test_the_tables_of_the_operations_page_are_rendered() -> None:
    """The tables are current, and the page names no metric that is not in them."""
    tables = load("tables")
    page = tables.PAGE.read_text(encoding="utf-8")
    assert page == tables.render(page), "run `make docs`"
    known = set(re.findall(r"^\| `(golo_agent_\w+)", page, re.MULTILINE))
    named = {name.removesuffix("_bucket") for name in re.findall(r"golo_agent_\w+", page)}
    assert named == known


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.svg")), ids=lambda path: path.name)
def test_pictures_load_nothing(path: Path) -> None:
    """A picture has no script, font or image from elsewhere, in a file or on a server."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"<script|@font-face|@import|<image|<foreignObject|href=|src=", text)
    assert all(target.startswith("#") for target in re.findall(r"url\((.*?)\)", text))


def test_every_promise_has_a_test() -> None:
    """Each row of docs/reliability.md names test files that exist."""
    page = (DOCS / "reliability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [A-Z][0-9]+ \| .*", page, re.MULTILINE)
    assert rows
    for row in rows:
        named = re.findall(r"`([a-z0-9_/]+(?:\.py|/))`", row.split(" | ")[2])
        assert named, row
        for path in named:
            assert any((TESTS / below / path).exists() for below in ("", "integration")), path


def test_every_bad_input_has_a_test() -> None:
    """Each row of the last table of docs/security.md names test functions that exist."""
    table = (DOCS / "security.md").read_text(encoding="utf-8").partition("## Bad input")[2]
    rows = re.findall(r"^\| .*", table, re.MULTILINE)[1:]
    assert rows
    for row in rows:
        named = re.findall(r"`([a-z/_]+\.py)::(test_\w+)`", row)
        assert named, row
        for path, name in named:
            assert re.search(rf"^(async )?def {name}\(", (TESTS / path).read_text(), re.M), row


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
_LINK = re.compile(r"\]\(([^)\s]+)\)|\b(?:src|href|srcset)=\"([^\"]+)\"")


def without_examples(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", without_examples(page), re.MULTILINE)
    texts = (re.sub(r"\[(.*?)\]\(.*?\)", r"\1", head) for head in heads)
    return {re.sub(r"[^\w -]", "", text).strip().lower().replace(" ", "-") for text in texts}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    """Each relative link and image of a page exists, with its heading."""
    dead = []
    for link in filter(None, sum(_LINK.findall(without_examples(page)), ())):
        name, _, heading = link.partition("#")
        target = page.parent / name if name else page
        if ":" in name:  # of another site
            continue
        if not target.exists() or (heading and heading not in anchors(target)):
            dead.append(link)
    assert not dead


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("a.md", "Rest.\nThe files are not to\nbe had.", [(2, "not to be had")]),
        ("a.py", "x = 1\n# Closed for\n# ever: see below.", [(2, "for ever")]),
        ("a.md", "No port is open. What cannot be used ends it.", [(1, "What cannot")]),
        ("a.md", "## What is promised\n\nWhat is a run?", []),
        ("a.py", "LONGEST_WAIT = 1", [(1, "LONGEST_WAIT")]),
        ("a.md", "LONGEST_WAIT", []),
        ("a.md", "As root: `--run-as nobody`.", []),
    ],
)
def test_retired_words_are_found(path: str, text: str, found: list[tuple[int, str]]) -> None:
    """Phrases are found across lines, names in code only; questions and headings pass."""
    style = load("style")
    sections = style.read_sections(style.RULES.read_text(encoding="utf-8"))
    assert [finding[:2] for finding in style.check(path, text, sections)] == found
