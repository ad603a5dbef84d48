"""Whole lines from pieces, however they are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.results.line_splitter import LineSplitter, SplitBlock

MAX = 5


def _split(pieces: list[bytes], max_line_bytes: int = MAX) -> tuple[bytes, int]:
    """Feed all pieces and close; return the lines as one block, and how many were too long."""
    splitter = LineSplitter(max_line_bytes)
    every = [*map(splitter.feed, pieces), splitter.close()]
    return b"".join(lines.block for lines in every), sum(lines.oversized for lines in every)


streams = st.lists(st.sampled_from([b"\n", b"a", b"bc", b"defgh"]), max_size=30).map(b"".join)


@given(stream=streams, data=st.data())
def test_lines_do_not_depend_on_the_cuts(stream: bytes, data: st.DataObject) -> None:
    """Whole, byte by byte and at random splits a stream has the same lines."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    lines = stream.split(b"\n")
    if not lines[-1]:
        lines.pop()
    kept = [line + b"\n" for line in lines if len(line) <= MAX]
    expected = b"".join(kept), len(lines) - len(kept)
    assert _split([stream]) == expected
    assert _split([stream[i : i + 1] for i in range(len(stream))]) == expected
    assert _split(pieces) == expected


def test_lines_come_as_soon_as_they_are_whole() -> None:
    """A piece gives all lines that end in it, and holds the rest back."""
    splitter = LineSplitter(MAX)
    assert splitter.feed(b"a\nb") == SplitBlock(b"a\n")
    assert splitter.feed(b"c") == SplitBlock()
    assert splitter.feed(b"d\n\ne") == SplitBlock(b"bcd\n\n")
    assert splitter.close() == SplitBlock(b"e\n")


@pytest.mark.parametrize("line", [b"123456", b"1" * 100])
def test_a_line_too_long_is_counted_when_it_ends(line: bytes) -> None:
    """A line over the limit is counted once, at its newline, and the next one is whole."""
    splitter = LineSplitter(MAX)
    for i in range(len(line)):
        assert splitter.feed(line[i : i + 1]) == SplitBlock()
    assert splitter.feed(b"\nok\n") == SplitBlock(b"ok\n", 1)
    assert splitter.close() == SplitBlock()


def test_a_line_too_long_is_counted_at_the_close() -> None:
    """A line over the limit that never ends is counted when the stream does."""
    assert _split([b"ok\n1234", b"56"]) == (b"ok\n", 1)


def test_a_line_of_the_limit_is_a_line() -> None:
    """The limit is the longest line that is kept, its newline not counted."""
    assert _split([b"12345\n", b"12345"]) == (b"12345\n12345\n", 0)


def test_what_is_held_is_bounded() -> None:
    """No more than the limit is held of a line, however long it becomes."""
    splitter = LineSplitter(1000)
    for _ in range(1000):
        splitter.feed(b"x" * 900)
        assert len(splitter._partial) <= 1000
    assert splitter.close() == SplitBlock(oversized=1)
