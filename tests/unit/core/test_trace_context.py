"""The header ``traceparent``: the examples and the rules of W3C Trace Context."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.core.trace_context import parse_traceparent

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("flags", ["00", "01", "ff"])
def test_a_valid_value_is_passed_on(flags: str) -> None:
    """With its flags, and without white space around it."""
    text = f"00-{TRACE}-{PARENT}-{flags}"
    assert parse_traceparent([text]) == text
    assert parse_traceparent([f" \t{text} "]) == text


@pytest.mark.parametrize("rest", ["", "-", "-more-fields"])
def test_a_later_version_is_read_by_its_first_fields(rest: str) -> None:
    """As its standard requires."""
    assert parse_traceparent([f"cc-{TRACE}-{PARENT}-01{rest}"]) == f"00-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"0-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01-",
        f"00-{TRACE}-{PARENT}-01-more",
        f"cc-{TRACE}-{PARENT}-01.more",
        f"00-{TRACE}-{PARENT}-01\n",
        f"00_{TRACE}_{PARENT}_01",
    ],
)
def test_an_invalid_value_is_none(text: str) -> None:
    """It is ignored."""
    assert parse_traceparent([text]) == ""


def test_two_headers_are_none() -> None:
    """They contradict each other."""
    assert parse_traceparent([]) == ""
    assert parse_traceparent([f"00-{TRACE}-{PARENT}-01"] * 2) == ""


@given(st.text())
def test_every_text_has_an_outcome(text: str) -> None:
    """It is a value of 55 characters, or none."""
    assert len(parse_traceparent([text])) in (0, 55)
