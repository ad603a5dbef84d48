"""Check what docs/style.py finds, and what it does not."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def style() -> ModuleType:
    """Load the checker; docs/ is no package."""
    description = importlib.util.spec_from_file_location("style", DOCS / "style.py")
    assert description is not None
    assert description.loader is not None
    module = importlib.util.module_from_spec(description)
    description.loader.exec_module(module)
    return module


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
def test_retired_words_are_found(
    style: ModuleType, path: str, text: str, found: list[tuple[int, str]]
) -> None:
    """A phrase is found across lines, a name in code alone; questions and headings pass."""
    rules = style.read_rules(style.RULES.read_text(encoding="utf-8"))
    assert [finding[:2] for finding in style.check(path, text, rules)] == found
