"""docs/reliability.md names a test for each promise."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "reliability.md"


def test_every_named_test_is_there() -> None:
    """No promise is without a test, and a test that is moved is moved on the page, too."""
    rows = [line for line in PAGE.read_text().splitlines() if re.match(r"\| [A-Z][0-9]+ \|", line)]
    assert rows
    for row in rows:
        named = re.findall(r"`([a-z0-9_/]+(?:\.py|/))`", row.split(" | ")[2])
        assert named, row
        for path in named:
            assert any((TESTS / below / path).exists() for below in ("", "integration")), path
