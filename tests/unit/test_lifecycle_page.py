"""docs/lifecycle.md says what the table says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from goloagent.runs.transitions import TABLE, Phase

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def page() -> ModuleType:
    """Load the program that renders the page; docs/ is no package."""
    description = importlib.util.spec_from_file_location("lifecycle", DOCS / "lifecycle.py")
    assert description is not None
    assert description.loader is not None
    module = importlib.util.module_from_spec(description)
    description.loader.exec_module(module)
    return module


def test_the_page_is_rendered_from_the_table(page: ModuleType) -> None:
    """The page in the repository is what `make docs` would write now."""
    assert page.PAGE == DOCS / "lifecycle.md"
    assert page.PAGE.read_text(encoding="utf-8") == page.render(), "run `make docs`"


def test_the_page_has_every_row(page: ModuleType) -> None:
    """No row of the table is left out, and none is invented."""
    rows = re.findall(r"^\| ([A-Z]+) \| ([A-Z]+) \| ([A-Z]+) \|", page.render(), re.MULTILINE)
    assert rows == [(p.name, e.name, then.phase.name) for (p, e), then in TABLE.items()]


def test_the_picture_has_every_phase(page: ModuleType) -> None:
    """The diagram draws an arrow to every phase, and one to the end."""
    arrows = re.findall(r"^    (\S+) --> ([A-Z]+|\[\*\])", page.render(), re.MULTILINE)
    assert {there for _, there in arrows} == {phase.name for phase in Phase} | {"[*]"}
