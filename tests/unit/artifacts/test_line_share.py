"""The shares of a file's lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.artifacts.line_share import LineShare


def share(text: bytes, index: int, of: int, has_header: bool, size: int) -> bytes:
    """Return a share of a text that is read in blocks of a size."""
    lines = LineShare(index, of, has_header)
    return b"".join(lines.select(text[start : start + size]) for start in range(0, len(text), size))


@pytest.mark.parametrize(
    ("text", "has_header", "shares"),
    [
        (b"a\nb\nc\nd\n", False, [b"a\nc\n", b"b\nd\n"]),
        (b"a\nb\nc", False, [b"a\nc", b"b\n"]),
        (b"id\na\nb\nc\n", True, [b"id\na\nc\n", b"id\nb\n"]),
        (b"id", True, [b"id", b"id"]),
        (b"\n\na\r\n", False, [b"\na\r\n", b"\n"]),
        (b"", False, [b"", b""]),
    ],
)
def test_lines_are_shared_in_turn(text: bytes, has_header: bool, shares: list[bytes]) -> None:
    """Line k goes to agent k modulo their number; the header is not counted."""
    for size in (1, 2, 3, 100):
        assert [share(text, index, 2, has_header, size) for index in range(2)] == shares


@given(st.text("ab\n\r").map(str.encode), st.integers(1, 5), st.booleans(), st.integers(1, 20))
def test_the_shares_are_all_lines(text: bytes, of: int, has_header: bool, size: int) -> None:
    """Taken in turn, their lines are the file, however it is cut into blocks."""
    lines = text.splitlines(keepends=True) if b"\r" not in text else None
    if lines is None:
        lines = [line + b"\n" for line in text.split(b"\n")]
        lines[-1] = lines[-1][:-1]
        lines = [line for line in lines if line]
    header = lines[:1] if has_header else []
    expected = [b"".join([*header, *lines[len(header) :][index::of]]) for index in range(of)]
    assert [share(text, index, of, has_header, size) for index in range(of)] == expected
