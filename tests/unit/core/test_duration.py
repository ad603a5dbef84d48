"""Durations as a person writes them."""

from __future__ import annotations

import pytest

from goloagent.core.duration import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("1.5", 1.5),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("250ms", 0.25),
        ("1d", 86400),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """Parts add up; a bare number is seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1 s", "1h 30m", "5x", "1e3", "٣s"])
def test_what_is_no_duration(text: str) -> None:
    """The message says what one looks like."""
    with pytest.raises(ValueError, match="write seconds, or 250ms, 90s, 1h30m"):
        parse_duration(text)
