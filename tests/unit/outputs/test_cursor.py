"""The cursor returns every result of a log once, in order; a naive model has the whole log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule
from peers.lines import is_result

from goloagent.outputs import cursor as cursor_module
from goloagent.outputs.batch import Batch
from goloagent.outputs.cursor import Cursor
from goloagent.results import parser
from goloagent.results.line_counter import LineCounter
from goloagent.results.parser import MAX_BODY_BYTES, MAX_LINE_BYTES

GOOD = b'{"timestamp":"2026-01-02T03:04:05Z","sequenceID":"%d"}'
BAD = [b"", b"{}", b"[1]", b"not json", b"\xff\x00", b'{"timestamp":"2026-01-02T03:04:05Z"', b"\r"]
PIECES = st.one_of(
    st.integers(0, 9).map(lambda number: GOOD % number + b"\n"),
    st.sampled_from(BAD).map(lambda line: line + b"\n"),
    st.binary(max_size=20),
    st.just(b"\n"),
    st.integers(0, 9).map(lambda number: GOOD % number),
    st.integers(1, 50).map(lambda cut: (GOOD % 1)[:cut]),
)


def good(number: int, length: int = 0) -> bytes:
    """Return a result, without its newline, of at least `length` bytes."""
    start = b'{"timestamp":"2026-01-02T03:04:05Z","sequenceID":"%d","url":"' % number
    return start + b"x" * (length - len(start) - 2) + b'"}'


def model(log: bytes, offset: int, complete: bool) -> list[tuple[int, bytes | None]]:
    """Return each line of a log from an offset with its end; None for an invalid line."""
    lines, end = [], offset
    for line in log[offset:].split(b"\n"):
        end += len(line) + 1
        lines.append((end, line if is_result(line) else None))
    end, last = lines.pop()
    if complete and log[offset:] and not log.endswith(b"\n"):
        lines.append((end - 1, last))
    return lines


def reader(log: bytes | bytearray) -> Cursor:
    """Return a cursor at the start of a log in memory."""
    return Cursor(lambda offset, count: bytes(log[offset : offset + count]), 0)


def batches(cursor: Cursor, most: int = 256, complete: bool = True) -> Iterator[Batch]:
    """Yield batches until there is none."""
    while (batch := cursor.next(most, complete)) is not None:
        yield batch


class LogAndCursor(RuleBasedStateMachine):
    """A log that grows by any pieces, any reads, and restarts at any committed offset."""

    committed = Bundle("committed")

    def __init__(self) -> None:
        super().__init__()
        self.log = bytearray()
        self.complete = False
        self.lines = LineCounter()
        self.cursor = reader(self.log)
        self.taken = 0
        self.last: Batch | None = None

    @precondition(lambda self: not self.complete)
    @rule(pieces=st.lists(PIECES, min_size=1, max_size=8), cut=st.integers(0, 30))
    def grow(self, pieces: list[bytes], cut: int) -> None:
        """Append output, which may end anywhere."""
        data = b"".join(pieces)
        data = data[: len(data) - cut] or data
        self.log += data
        self.lines.feed(data)

    @precondition(lambda self: not self.complete)
    @rule()
    def end(self) -> None:
        """End the log."""
        self.complete = True
        self.lines.close()

    @rule(target=committed, most=st.integers(1, 5))
    def take(self, most: int) -> int:
        """Take the next batch: the model's next lines, up to the limits."""
        batch = self.cursor.next(most, self.complete)
        lines = model(bytes(self.log), self.taken, self.complete)
        if batch is None:
            assert not lines
            return self.taken
        assert batch.first == self.taken < batch.end
        within = [line for line in lines if line[0] <= batch.end]
        results = [line for _, line in within if line is not None]
        assert within[-1][0] == batch.end
        assert batch.lines == results
        assert batch.results == len(results) <= most
        assert batch.body() == b"[" + b",".join(results) + b"]"
        if len(results) < most and batch.end - batch.first < cursor_module.WINDOW_BYTES:
            assert within == lines
        self.taken = batch.end
        self.last = batch
        return batch.end

    @precondition(lambda self: self.last is not None)
    @rule()
    def take_again(self) -> None:
        """Read a batch again, unchanged after more output."""
        assert self.last is not None
        again = Cursor(lambda at, count: bytes(self.log[at : at + count]), self.last.first)
        assert again.next(1, self.complete, until=self.last.end) == self.last

    @rule(offset=committed, verified=st.booleans())
    def restart(self, offset: int, verified: bool) -> None:
        """Continue with a new cursor at any offset, with a verified range or none."""
        self.cursor = Cursor(
            lambda at, count: bytes(self.log[at : at + count]),
            offset,
            *([lambda: self.lines.verified_range] if verified else []),
        )
        self.taken = offset

    @invariant()
    def the_counts_agree(self) -> None:
        """Compare the line counter with the model."""
        lines = model(bytes(self.log), 0, self.complete)
        assert self.lines.read == len(lines)
        known = self.lines.verified_range
        inside = [line for end, line in lines if known.start < end <= known.stop]
        assert None not in inside
        assert self.lines.invalid == sum(line is None for _, line in lines)


TestLogAndCursor = LogAndCursor.TestCase
TestLogAndCursor.__doc__ = LogAndCursor.__doc__
TestLogAndCursor.settings = settings(max_examples=150, stateful_step_count=25)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """Make windows small, so that tests reach their borders; a result is 60 bytes."""
    size = 200
    monkeypatch.setattr(cursor_module, "WINDOW_BYTES", size - 1)
    return size


@pytest.mark.parametrize("step", [1, 7, 59, 60, 61, 199, 200, 201, 10_000])
def test_windows_cut_nothing(small: int, step: int) -> None:
    """Results on both sides of a window's border are whole, at any growth of the log."""
    lines = [good(number, 60 + number % 90) for number in range(100)]
    whole = b"".join(line + b"\n" for line in lines)
    log = bytearray()
    cursor = reader(log)
    taken: list[bytes] = []
    for start in range(0, len(whole), step):
        log += whole[start : start + step]
        for batch in batches(cursor, complete=False):
            assert len(batch.body()) <= small
            taken += batch.lines
    assert taken == lines


@pytest.mark.parametrize("length", [197, 198, 199, 200, 201, 202, 399, 400, 401, 1000, 10_000])
@pytest.mark.parametrize("ended", [True, False])
def test_a_long_line_costs_only_itself(small: int, length: int, ended: bool) -> None:
    """A line that fits no body is skipped, to its newline or the end of the log."""
    before, after = good(1, 60), good(2, 60)
    long = b"x" * length
    log = before + b"\n" + long + (b"\n" + after + b"\n" if ended else b"")
    found = list(batches(reader(log)))
    assert [line for batch in found for line in batch.lines] == [before, *([after] * ended)]
    assert found[0].first == 0
    assert found[-1].end == len(log)
    for one, following in pairwise(found):
        assert one.end == following.first


@pytest.mark.parametrize("step", [1, 150, 200, 333])
def test_a_long_line_may_still_grow(small: int, step: int) -> None:
    """Without its newline a long line is neither a result nor skipped."""
    log = bytearray(good(1, 60) + b"\n")
    cursor = reader(log)
    assert [batch.results for batch in batches(cursor, complete=False)] == [1]
    for _ in range(0, 1000, step):
        log += b"y" * step
        assert cursor.next(256, complete=False) is None
    log += b"\n" + good(2, 60) + b"\n"
    lines = [line for batch in batches(cursor, complete=False) for line in batch.lines]
    assert lines == [good(2, 60)]


def test_the_longest_result_fits_a_body() -> None:
    """A result of the maximum length makes a body of the maximum size."""
    longest = good(1, MAX_LINE_BYTES)
    for log in (longest, longest + b"\n"):
        [batch] = batches(reader(log))
        assert batch.end == len(log)
        assert len(batch.body()) == MAX_BODY_BYTES


def test_a_body_never_exceeds_its_limit() -> None:
    """Batches grow up to 1 MiB of body and no further."""
    lines = [good(number, 1000 + number % 77) for number in range(3000)]
    found = list(batches(reader(b"\n".join(lines)), most=10**6))
    sizes = [len(batch.body()) for batch in found]
    assert [line for batch in found for line in batch.lines] == lines
    assert len(sizes) == 3
    assert all(MAX_BODY_BYTES - 2000 < size <= MAX_BODY_BYTES for size in sizes[:-1])


def test_a_range_without_results_is_bounded() -> None:
    """Megabytes of other output are empty batches of a window each."""
    log = (b"x" * 99 + b"\n") * 30_000 + good(1) + b"\n"
    found = list(batches(reader(log)))
    assert [batch.results for batch in found] == [0, 0, 1]
    assert max(batch.end - batch.first for batch in found) < 2 * cursor_module.WINDOW_BYTES


def test_a_window_with_many_invalid_lines_ends_early() -> None:
    """Short invalid lines end a window after a piece of 64 KiB, because their offsets take memory.

    A batch that was sent before is the same again.
    """
    log = (good(1) + b"\n\n") * 500 + b"\n" * 100_000
    found = list(batches(reader(log), most=10**6))
    assert max(batch.end - batch.first for batch in found) == 64 * 1024
    assert [line for batch in found for line in batch.lines] == [good(1)] * 500
    again = reader(log).next(10**6, True, until=found[1].end)
    assert again is not None
    assert (again.end, again.lines) == (found[1].end, found[0].lines)


def test_few_invalid_lines_leave_batches_large() -> None:
    """Few invalid lines do not end a window."""
    log = (good(1, 100) + b"\n") * 1000 + b"{\n"
    assert len(list(batches(reader(log * 10), most=10**6))) == 1


def test_a_read_holds_no_more_than_a_window() -> None:
    """The cursor never reads more than a window of the log."""
    log = b"".join(good(number, 500) + b"\n" for number in range(5000)) + b"x" * 3_000_000
    asked = []

    def read(offset: int, count: int) -> bytes:
        asked.append(count)
        return log[offset : offset + count]

    assert sum(batch.results for batch in batches(Cursor(read, 0), 10**6)) == 5000
    assert max(asked) == cursor_module.WINDOW_BYTES


def test_a_read_that_fails_costs_nothing() -> None:
    """After an OSError the offset is unchanged."""
    log, broken = good(1) + b"\n", True

    def read(offset: int, count: int) -> bytes:
        if broken:
            raise OSError("the disk is away")
        return log[offset : offset + count]

    cursor = Cursor(read, 0)
    with pytest.raises(OSError, match="away"):
        cursor.next(256, complete=True)
    broken = False
    assert [batch.results for batch in batches(cursor)] == [1]


def test_a_verified_range_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window is parsed only if a part of it is not verified."""
    log = b"".join(good(number) + b"\n" for number in range(10))
    half = log.index(good(5))

    def known(verified: range) -> list[int]:
        return [
            batch.results
            for batch in batches(
                Cursor(lambda at, count: log[at : at + count], 0, lambda: verified)
            )
        ]

    expected = known(range(0))
    monkeypatch.setattr(parser, "parse_steps", lambda text: pytest.fail("decoded"))
    assert known(range(len(log))) == expected
    for byte_range in (range(0), range(half), range(1, len(log)), range(half, len(log))):
        with pytest.raises(pytest.fail.Exception):
            known(byte_range)


def test_a_partial_line_is_not_verified() -> None:
    """In a truncated log the line of the cut is invalid."""
    log = (good(1) + b"\n") * 3
    cut = log[:-9]
    cursor = Cursor(lambda at, count: cut[at : at + count], 0, lambda: range(len(log)))
    assert [batch.results for batch in batches(cursor)] == [2]


@pytest.mark.parametrize("count", [2, 3, 255, 256])
def test_halves_are_the_whole(count: int) -> None:
    """Halves down to single results have the same bytes and results, and distinct keys."""
    log = b"".join(good(number) + b"\nbad\n" for number in range(count))
    [batch] = batches(reader(log), most=257)
    parts, undivided = [batch], 0
    while undivided < len(parts):
        if parts[undivided].results > 1:
            parts[undivided : undivided + 1] = parts[undivided].halves()
        else:
            undivided += 1
    assert [line for part in parts for line in part.lines] == batch.lines
    assert [part.first for part in parts] == [0, *(part.end for part in parts[:-1])]
    assert parts[-1].end == batch.end == len(log)
    assert len({part.key for part in parts}) == count
    for part in parts:
        first, last = map(int, part.key.split("-"))
        assert part.lines[0] in log[first : last + 1]


def test_the_body_has_the_bytes_of_the_log() -> None:
    """Results are sent as they were printed: order, spaces, numbers and unknown members."""
    lines = [b'{ "x":1.0e2 , "timestamp":"2026-01-02T03:04:05Z"}\r', good(2) + b"  "]
    [batch] = batches(reader(b"\n".join(lines)))
    assert batch.body() == b"[" + b",".join(lines) + b"]"
    assert len(json.loads(batch.body())) == 2
