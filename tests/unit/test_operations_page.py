"""docs/operations.md has the routes and metrics that there are."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    """Load the program that renders the tables; docs/ is no package."""
    description = importlib.util.spec_from_file_location("tables", DOCS / "tables.py")
    assert description is not None
    assert description.loader is not None
    module = importlib.util.module_from_spec(description)
    description.loader.exec_module(module)
    return module


def test_the_tables_are_rendered(tables: ModuleType) -> None:
    """The page in the repository is what `make docs` would write now."""
    page = tables.PAGE.read_text(encoding="utf-8")
    assert page == tables.render(page), "run `make docs`"


def test_every_metric_named_in_the_page_is_there(tables: ModuleType) -> None:
    """Texts and alerts name metrics of the table, or the series of a histogram in it."""
    page = tables.PAGE.read_text(encoding="utf-8")
    known = set(re.findall(r"^\| `(golo_agent_\w+)", page, re.MULTILINE))
    named = {name.removesuffix("_bucket") for name in re.findall(r"golo_agent_\w+", page)}
    assert named == known
