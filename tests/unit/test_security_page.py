"""docs/security.md names a test for each row of its table of bad input."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "security.md"


def test_every_named_test_is_there() -> None:
    """No row is without a test, and a test that is renamed is renamed on the page, too."""
    table = PAGE.read_text().partition("## Bad input")[2]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert rows
    for row in rows:
        named = re.findall(r"`([a-z/_]+\.py)::(test_\w+)`", row)
        assert named, row
        for path, name in named:
            assert re.search(rf"^(async )?def {name}\(", (TESTS / path).read_text(), re.M), row
