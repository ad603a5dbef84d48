"""The bytes that a Range header requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.http.api.logs import parse_range
from goloagent.http.problem import Problem


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", b"0"),
        ("bytes=2-4", b"234"),
        ("bytes=8-99", b"89"),
        ("Bytes=7-", b"789"),
        ("bytes=-3", b"789"),
        ("bytes=-99", b"0123456789"),
    ],
)
def test_one_range(header: str, expected: bytes) -> None:
    """Both ends are inclusive; bytes beyond the end are left out."""
    part = parse_range([header], 10)
    assert part is not None
    assert b"0123456789"[part.start : part.stop] == expected


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=10-12", 10), ("bytes=0-", 0), ("bytes=-5", 0)]
)
def test_a_range_without_bytes_is_416(header: str, size: int) -> None:
    """The response has the size."""
    with pytest.raises(Problem) as raised:
        parse_range([header], size)
    assert raised.value.status == 416
    assert raised.value.headers == {"Content-Range": f"bytes */{size}"}


@pytest.mark.parametrize(
    "header",
    [
        [],
        ["bytes=0-1,4-5"],
        ["bytes=3-2"],
        ["bytes=-"],
        ["bytes=a-"],
        ["lines=0-1"],
        ["bytes 0-1"],
        ["bytes=0-1", "bytes=2-3"],
        ["bytes=" + "9" * 5000 + "-"],
    ],
)
def test_other_headers_are_ignored(header: list[str]) -> None:
    """Several ranges, other units and malformed headers request the whole log."""
    assert parse_range(header, 10) is None


@given(header=st.text() | st.from_regex(r"bytes=[0-9]{0,3}-[0-9]{0,3}"), size=st.integers(0, 100))
def test_any_header(header: str, size: int) -> None:
    """A part is never empty or beyond the end."""
    try:
        part = parse_range([header], size)
    except Problem:
        return
    assert part is None or 0 <= part.start < part.stop <= size
