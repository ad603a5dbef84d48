"""The counts of a run's lines, and the reason for the first invalid one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.results.records import ORDINARY, TIMESTAMP, is_result, lines, nested

from goloagent.results.decoder import MAX_DEPTH
from goloagent.results.line_counter import LineCounter
from goloagent.results.parser import MAX_LINE_BYTES


def _count(stdout: bytes, piece_bytes: int) -> tuple[int, int, int]:
    counter = LineCounter()
    for i in range(0, len(stdout), piece_bytes):
        counter.feed(stdout[i : i + piece_bytes])
    counter.close()
    return counter.read, counter.valid, counter.invalid


@given(items=st.lists(lines, max_size=6), ended=st.booleans(), piece_bytes=st.integers(1, 200))
def test_every_line_is_counted_once(items: list[bytes], ended: bool, piece_bytes: int) -> None:
    """Each line is valid or invalid, in one piece or many, with a last newline or without."""
    stdout = b"\n".join(items) + b"\n" * ended
    kept = stdout.split(b"\n")
    if not kept[-1]:
        kept.pop()
    valid = sum(map(is_result, kept))
    expected = len(kept), valid, len(kept) - valid
    assert _count(stdout, piece_bytes) == expected
    assert _count(stdout, len(stdout) + 1) == expected


def test_invalid_lines_cost_only_themselves() -> None:
    """Ten kinds of invalid lines cost none of the results between them."""
    invalid = [
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
    stdout = b"".join(line + b"\n" + ORDINARY + b"\n" for line in invalid)
    assert _count(stdout, 8192) == (20, 10, 10)


@given(items=st.lists(lines, max_size=12), piece_bytes=st.integers(1, 200))
def test_the_verified_range_has_only_results(items: list[bytes], piece_bytes: int) -> None:
    """It begins and ends with lines, reaches to the last line, and has only results."""
    stdout = b"".join(line + b"\n" for line in items)
    counter = LineCounter(start=1000)
    for start in range(0, len(stdout), piece_bytes):
        counter.feed(stdout[start : start + piece_bytes])
    verified = stdout[counter.verified_range.start - 1000 : counter.verified_range.stop - 1000]
    assert counter.verified_range.stop == 1000 + len(stdout)
    inside = verified.split(b"\n")[:-1]
    assert all(map(is_result, inside))
    if all(map(is_result, items)):
        assert inside == items
    else:
        assert inside == items[len(items) - len(inside) :]


def test_a_last_line_without_a_newline_counts() -> None:
    """A result without a newline counts at the end of the run."""
    counter = LineCounter()
    counter.feed(ORDINARY + b"\n" + ORDINARY)
    assert (counter.read, counter.valid) == (1, 1)
    counter.close()
    assert (counter.read, counter.valid) == (2, 2)


def test_the_longest_line() -> None:
    """A line of the maximum length is a result; with one byte more it is invalid."""
    longest = ORDINARY.replace(b"GET", b"G" * (MAX_LINE_BYTES - len(ORDINARY) + 3))
    assert _count(longest + b"\n", 8192) == (1, 1, 0)
    assert _count(longest + b" \n", 8192) == (1, 0, 1)


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
            b'{"timestamp":"2026-01-02T03:04:05Z","duration":1.5}',
            "duration: 1.5 must be an integer of 64 bits, in nanoseconds",
        ),
        (b'{"timestamp":"2026-01-02T03:04:05Z","url":5}', "url: 5 must be a string"),
        (
            b'{"timestamp":"2026-01-02T03:04:05Z","size":"1","size":1}',
            "a member occurs twice, once with an invalid value",
        ),
        (nested(MAX_DEPTH + 1), "it is nested too deep"),
        (
            b'{%b,"url":"\\ud800","size":[]}' % TIMESTAMP.encode(),
            "size: [] must be an integer of 64 bits",
        ),
        (b"GET / 200", "it is not a JSON object"),
        (b"[]", "it is not a JSON object"),
        (b"", "it is empty"),
        (b'{"timestamp":"2026-01-02T0', "it is not valid JSON, or is cut"),
        (b'{"url":"\xff"}', "byte 9 is not UTF-8"),
        (b"x" * (MAX_LINE_BYTES + 1), f"it is longer than {MAX_LINE_BYTES} bytes"),
    ],
)
@pytest.mark.parametrize("piece_bytes", [7, 1 << 22])
@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize("ended", [True, False])
def test_the_first_invalid_line(
    line: bytes, reason: str, piece_bytes: int, before: int, ended: bool
) -> None:
    """Its number, its beginning and the reason are stored; later lines change nothing."""
    stdout = (ORDINARY + b"\n") * before + line + b"\n" * (ended or not line)
    if ended:
        stdout += b"no result\n" + ORDINARY + b"\n"
    if piece_bytes == 7 and len(stdout) > 10_000:
        piece_bytes = 70_001
    counter = LineCounter()
    for start in range(0, len(stdout), piece_bytes):
        counter.feed(stdout[start : start + piece_bytes])
    counter.close()
    assert counter.first_invalid is not None
    assert (counter.first_invalid.number, counter.first_invalid.reason) == (before + 1, reason)
    is_held = len(line) <= MAX_LINE_BYTES
    assert counter.first_invalid.text == (line[:200].decode(errors="replace") if is_held else "")
    assert counter.is_cut is (stdout[-1:] != b"\n")


@given(line=lines)
def test_every_invalid_line_has_a_reason(line: bytes) -> None:
    """A line has a reason if and only if the rule makes it invalid."""
    counter = LineCounter()
    counter.feed(line + b"\n")
    assert (counter.first_invalid is None) is is_result(line)
