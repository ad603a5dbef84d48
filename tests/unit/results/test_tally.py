"""The count of a run's lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from unit.results.records import ORDINARY, lines

from goloagent.results import grammar
from goloagent.results.output import MAX_LINE_BYTES
from goloagent.results.tally import Tally


def _tally(stdout: bytes, piece_bytes: int) -> tuple[int, int, int]:
    tally = Tally()
    for i in range(0, len(stdout), piece_bytes):
        tally.feed(stdout[i : i + piece_bytes])
    tally.close()
    return tally.read, tally.valid, tally.invalid


@given(items=st.lists(lines, max_size=6), ended=st.booleans(), piece_bytes=st.integers(1, 200))
def test_every_line_is_counted_once(items: list[bytes], ended: bool, piece_bytes: int) -> None:
    """Read is valid and invalid, whole or in pieces, with a last newline or without."""
    stdout = b"\n".join(items) + b"\n" * ended
    kept = stdout.split(b"\n")
    if not kept[-1]:
        kept.pop()
    valid = sum(map(grammar.accepts, kept))
    expected = len(kept), valid, len(kept) - valid
    assert _tally(stdout, piece_bytes) == expected
    assert _tally(stdout, len(stdout) + 1) == expected


def test_bad_lines_cost_only_themselves() -> None:
    """Of ten lines that are bad each in its way the good ones between them lose nothing."""
    bad = [
        b"",
        b"panic: oops",
        b"\x00",
        b"\xff\xfe",
        b"{",
        b'{"status":NaN}',
        b"[" * 100_000,
        b"x" * 10 * 1024 * 1024,
        ORDINARY[:-1],
        ORDINARY + ORDINARY,
    ]
    stdout = b"".join(line + b"\n" + ORDINARY + b"\n" for line in bad)
    assert _tally(stdout, 8192) == (20, 10, 10)


@given(items=st.lists(lines, max_size=12), piece_bytes=st.integers(1, 200))
def test_a_stretch_is_flawless(items: list[bytes], piece_bytes: int) -> None:
    """It begins and ends with lines, reaches to the last of them, and has results only."""
    stdout = b"".join(line + b"\n" for line in items)
    tally = Tally(start=1000)
    for start in range(0, len(stdout), piece_bytes):
        tally.feed(stdout[start : start + piece_bytes])
    stretch = stdout[tally.flawless.start - 1000 : tally.flawless.stop - 1000]
    assert tally.flawless.stop == 1000 + len(stdout)
    inside = stretch.split(b"\n")[:-1]
    assert all(map(grammar.accepts, inside))
    if all(map(grammar.accepts, items)):
        assert inside == items
    else:
        assert inside == items[len(items) - len(inside) :]


def test_a_last_line_without_a_newline_counts() -> None:
    """A result that is printed without a newline is a result once the run is over."""
    tally = Tally()
    tally.feed(ORDINARY + b"\n" + ORDINARY)
    assert (tally.read, tally.valid) == (1, 1)
    tally.close()
    assert (tally.read, tally.valid) == (2, 2)


def test_a_line_of_the_limit_is_judged() -> None:
    """The longest line there may be is still read as a result, and a longer one is not."""
    longest = ORDINARY.replace(b"GET", b"G" * (MAX_LINE_BYTES - len(ORDINARY) + 3))
    assert _tally(longest + b"\n", 8192) == (1, 1, 0)
    assert _tally(longest + b" \n", 8192) == (1, 0, 1)
