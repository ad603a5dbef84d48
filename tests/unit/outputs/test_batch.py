"""A batch is its lines: divided in any way, and sent as they came."""

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


def batch(lines: list[Line], first: int = 0, lent: bool = False) -> Batch:
    """Return the batch of lines, each a result or not; the last one's newline may be lent."""
    text, flaws = b"", []
    for line, is_result in lines:
        if not is_result:
            flaws.append(len(text))
        text += line + b"\n"
    return Batch(first, first + len(text) - lent, text, tuple(flaws))


@given(lines=LINES, first=st.integers(0, 3))
def test_what_is_sent_is_its_results(lines: list[Line], first: int) -> None:
    """Count, lines and body say the same, with flaws in the stretch and without."""
    results = [line for line, is_result in lines if is_result]
    whole = batch(lines, first)
    assert (whole.results, whole.lines) == (len(results), results)
    assert whole.body() == b"[" + b",".join(results) + b"]"
    flawless = batch([(line, True) for line in results], first)
    assert flawless.body() == whole.body()


@given(lines=LINES.filter(bool), most=st.integers(1, 8), lent=st.booleans())
def test_taken_is_up_to_so_many_results(lines: list[Line], most: int, lent: bool) -> None:
    """It ends behind the last of them, or behind everything, and the rest goes on from there."""
    whole = batch(lines, 7, lent)
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
    """Cut at any line's end, the parts have the flaws that are in them."""
    lines = [(b"a", True), (b"b", False), (b"c", True), (b"d", False), (b"e", True)]
    rest, told = batch(lines, 100), []
    for end in ends:
        part, rest = rest.cut(100 + 2 * end)
        told.append(part)
    told.append(rest)
    places = [0, *ends, len(lines)]
    assert told == [batch(lines[start:end], 100 + 2 * start) for start, end in pairwise(places)]


def test_a_lent_newline_is_not_in_the_log() -> None:
    """The key ends with the log, and the part that has the last line keeps the newline."""
    whole = batch([(b"a", True), (b"b", True)], 0, lent=True)
    one, two = whole.halves()
    assert (whole.key, one.key, two.key) == ("0-2", "0-1", "2-2")
    assert (one.body(), two.body()) == (b"[a]", b"[b]")
