"""A batch is its lines, split in any way, and sent byte for byte."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.outputs.batch import Batch

Line = tuple[bytes, bool]
LINES = st.lists(
    st.tuples(st.binary(max_size=5).map(lambda raw: b"-" + raw.replace(b"\n", b"")), st.booleans())
)


def batch(lines: list[Line], first: int = 0, is_newline_added: bool = False) -> Batch:
    """Return the batch of lines, each with whether it is a result."""
    text, invalid = b"", []
    for line, is_result in lines:
        if not is_result:
            invalid.append(len(text))
        text += line + b"\n"
    return Batch(first, first + len(text) - is_newline_added, text, tuple(invalid))


@given(lines=LINES, first=st.integers(0, 3))
def test_the_body_has_the_results(lines: list[Line], first: int) -> None:
    """Count, lines and body agree, with invalid lines and without."""
    results = [line for line, is_result in lines if is_result]
    whole = batch(lines, first)
    assert (whole.results, whole.lines) == (len(results), results)
    assert whole.body() == b"[" + b",".join(results) + b"]"
    all_valid = batch([(line, True) for line in results], first)
    assert all_valid.body() == whole.body()


@given(lines=LINES.filter(bool), most=st.integers(1, 8), is_newline_added=st.booleans())
def test_take(lines: list[Line], most: int, is_newline_added: bool) -> None:
    """It ends after a number of results, or after everything; the rest follows."""
    whole = batch(lines, 7, is_newline_added)
    taken, rest = whole.take(most)
    assert taken.lines == whole.lines[:most]
    assert taken.lines + rest.lines == whole.lines
    assert (taken.first, taken.end, rest.end) == (whole.first, rest.first, whole.end)
    assert taken.text + rest.text == whole.text
    if whole.results > most:
        assert taken.text.endswith(taken.lines[-1] + b"\n")
        assert taken.end == whole.first + len(taken.text)


@pytest.mark.parametrize("ends", [[1], [2], [1, 2], [5]])
def test_cut_where_a_line_ends(ends: list[int]) -> None:
    """Cut at the end of a line, each part has its own invalid lines."""
    lines = [(b"a", True), (b"b", False), (b"c", True), (b"d", False), (b"e", True)]
    rest, parts = batch(lines, 100), []
    for end in ends:
        part, rest = rest.cut(100 + 2 * end)
        parts.append(part)
    parts.append(rest)
    places = [0, *ends, len(lines)]
    assert parts == [batch(lines[start:end], 100 + 2 * start) for start, end in pairwise(places)]


def test_an_added_newline_is_not_in_the_log() -> None:
    """The key ends with the log, and the last part has the newline."""
    whole = batch([(b"a", True), (b"b", True)], 0, is_newline_added=True)
    one, two = whole.halves()
    assert (whole.key, one.key, two.key) == ("0-2", "0-1", "2-2")
    assert (one.body(), two.body()) == (b"[a]", b"[b]")
