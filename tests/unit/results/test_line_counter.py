"""The count of a run's lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.results.records import ORDINARY, lines

from goloagent.results import go_json
from goloagent.results.line_counter import LineCounter
from goloagent.results.parser import MAX_LINE_BYTES


def _tally(stdout: bytes, piece_bytes: int) -> tuple[int, int, int]:
    tally = LineCounter()
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
    valid = sum(map(go_json.accepts, kept))
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
    tally = LineCounter(start=1000)
    for start in range(0, len(stdout), piece_bytes):
        tally.feed(stdout[start : start + piece_bytes])
    stretch = stdout[tally.verified_range.start - 1000 : tally.verified_range.stop - 1000]
    assert tally.verified_range.stop == 1000 + len(stdout)
    inside = stretch.split(b"\n")[:-1]
    assert all(map(go_json.accepts, inside))
    if all(map(go_json.accepts, items)):
        assert inside == items
    else:
        assert inside == items[len(items) - len(inside) :]


def test_a_last_line_without_a_newline_counts() -> None:
    """A result that is printed without a newline is a result once the run is over."""
    tally = LineCounter()
    tally.feed(ORDINARY + b"\n" + ORDINARY)
    assert (tally.read, tally.valid) == (1, 1)
    tally.close()
    assert (tally.read, tally.valid) == (2, 2)


def test_a_line_of_the_limit_is_judged() -> None:
    """The longest line there may be is still read as a result, and a longer one is not."""
    longest = ORDINARY.replace(b"GET", b"G" * (MAX_LINE_BYTES - len(ORDINARY) + 3))
    assert _tally(longest + b"\n", 8192) == (1, 1, 0)
    assert _tally(longest + b" \n", 8192) == (1, 0, 1)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            b'{"timestamp":"2026-01-02T03:04:05"}',
            'timestamp: "2026-01-02T03:04:05" has no time zone: Z or an offset such as +02:00 must'
            " follow",
        ),
        (
            b'{"timestamp":"2026-01-02 03:04:05.123456"}',
            'timestamp: "2026-01-02 03:04:05.123456" has no time zone: Z or an offset such as'
            " +02:00 must follow",
        ),
        (
            b'{"timestamp":"2026-01-02 03:04:05 +0200"}',
            'timestamp: "2026-01-02 03:04:05 +0200" has an offset without a colon: +02:00 is'
            " wanted, and a T before the time",
        ),
        (
            b'{"timestamp":"2026-01-02 03:04:05Z"}',
            'timestamp: "2026-01-02 03:04:05Z" has no T between date and time',
        ),
        (
            b'{"timestamp":"Fri, 2 Jan 2026"}',
            'timestamp: "Fri, 2 Jan 2026" is not RFC 3339, such as 2026-01-02T03:04:05.678Z',
        ),
        (
            b'{"timestamp":1767323045}',
            "timestamp: 1767323045 must be a string in RFC 3339, such as 2026-01-02T03:04:05.678Z",
        ),
        (b'{"url":"x"}', "timestamp: it is missing"),
        (b'{"timestamp":null}', "timestamp: it is missing"),
        (
            b'{"timestamp":"2026-01-02T03:04:05Z","status":"200"}',
            'status: "200" must be an integer of 64 bits',
        ),
        (
            b'{"timestamp":"2026-01-02T03:04:05Z","Duration":1.5}',
            "duration: 1.5 must be an integer of 64 bits, in nanoseconds",
        ),
        (b'{"timestamp":"2026-01-02T03:04:05Z","url":5}', "url: 5 must be a string"),
        (
            b'{"timestamp":"2026-01-02T03:04:05Z","error":1e999}',
            "error: 1e999 must be a value whose numbers a float64 holds",
        ),
        (b"GET / 200", "it is not a JSON object"),
        (b"[]", "it is not a JSON object"),
        (b"", "it is empty"),
        (b'{"timestamp":"2026-01-02T0', "it is not valid JSON, is cut, or is nested too deep"),
        (b'{"url":"\xff"}', "byte 9 is not UTF-8"),
        (b"x" * (MAX_LINE_BYTES + 1), f"it is longer than {MAX_LINE_BYTES} bytes"),
    ],
)
@pytest.mark.parametrize("piece_bytes", [7, 1 << 22])
@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize("ended", [True, False])
def test_the_first_invalid_line_is_told(
    line: bytes, reason: str, piece_bytes: int, before: int, ended: bool
) -> None:
    """Which one it is, why it is no result, and how it begins; of all others nothing."""
    stdout = (ORDINARY + b"\n") * before + line + b"\n" * (ended or not line)
    if ended:
        stdout += b"no result\n" + ORDINARY + b"\n"
    if piece_bytes == 7 and len(stdout) > 10_000:
        piece_bytes = 70_001
    tally = LineCounter()
    for start in range(0, len(stdout), piece_bytes):
        tally.feed(stdout[start : start + piece_bytes])
    tally.close()
    assert tally.first_invalid is not None
    assert (tally.first_invalid.number, tally.first_invalid.reason) == (before + 1, reason)
    is_held = len(line) <= MAX_LINE_BYTES
    assert tally.first_invalid.text == (line[:200].decode(errors="replace") if is_held else "")
    assert tally.is_cut is (stdout[-1:] != b"\n")


@given(line=lines)
def test_a_line_has_a_reason_if_and_only_if_it_is_no_result(line: bytes) -> None:
    """The words are found by the rule that decides."""
    line = line.replace(b"\n", b" ")
    tally = LineCounter()
    tally.feed(line + b"\n")
    assert (tally.first_invalid is None) is go_json.accepts(line)
    assert tally.first_invalid is None or tally.first_invalid.reason != "it cannot be decoded"
