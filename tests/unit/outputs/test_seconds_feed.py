"""The feed of a timeline: each window once, with totals that no thinning or repeat changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from unit.outputs.world import running_job

from goloagent.core.output_schemes import COLLECTOR
from goloagent.core.stats.histogram import Histogram
from goloagent.core.timeline import Line, Times, Window, decode_line, encode_line, thin
from goloagent.jobs.job import Job, State
from goloagent.outputs.batch_size import AdaptiveBatchSize
from goloagent.outputs.checkpoint import Account
from goloagent.outputs.dead_letter import open_for_delivery
from goloagent.outputs.seconds import SecondsBatch, Totals
from goloagent.outputs.seconds_feed import MAX_WINDOWS, POLL_SECONDS, SecondsFeed
from goloagent.outputs.sink import Response
from goloagent.results.line_counter import LineCounter
from goloagent.wal.run_files import RunFiles
from goloagent.wal.run_log import RunLogWriter
from goloagent.wal.timeline_file import TimelineFile
from goloagent.wal.timeline_reader import TIMELINE

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
SIZE = AdaptiveBatchSize()


def no_thinning(*_: object) -> Deferred[None]:
    """Never run anything."""
    return Deferred()


@attrs.define(slots=False)
class Run:
    """A run with a real log and timeline, and a feed of it; `samples` are what a backend has."""

    logs: Path
    job: Job = attrs.field(factory=lambda: running_job("shop", 1))
    samples: dict[int, Totals] = attrs.field(factory=dict)
    sent: list[SecondsBatch] = attrs.field(factory=list)
    written: int = 0
    ended_at: float = 0.0
    ends: list[int] = attrs.field(factory=list)
    has_timeline: bool = True

    def __attrs_post_init__(self) -> None:
        self.log = RunLogWriter.create(self.logs, "shop", self.job.id)
        self.counter = LineCounter()
        self.job.started_at = START
        self.timeline: TimelineFile | None = None
        if self.has_timeline:
            self.timeline = TimelineFile((self.logs, "shop", self.job.id), START, no_thinning)
        self.feed = self.new_feed()

    @property
    def path(self) -> Path:
        return self.logs / "shop" / self.job.id / TIMELINE

    def new_feed(self) -> SecondsFeed:
        files = RunFiles(self.logs)
        return SecondsFeed(
            Account(self.job),
            files.follow_timeline,
            lambda job: open_for_delivery(files, COLLECTOR, job),
        )

    def print(self, results: int, status: int = 200) -> None:
        """Write results of a millisecond to the log."""
        time = (START + timedelta(seconds=self.ended_at)).isoformat()
        line = b'{"timestamp":"%b","status":%d,"size":7,"duration":1000000}\n'
        data = line % (time.encode(), status) * results
        self.log.append_stdout(data)
        self.counter.feed(data)
        self.job.lines.read = self.counter.read
        self.job.verified_range = self.counter.verified_range
        self.job.log_version = self.log.version
        self.written += results

    def second(self, results: int = 0, length: float = 1.0) -> None:
        """Print results, and append the window that has them."""
        self.print(results)
        durations = Histogram()
        durations.record([1_000_000] * results)
        at = round(self.ended_at, 3)
        self.ended_at += length
        assert self.timeline is not None
        self.timeline.append(
            Window(at, round(length, 3), started=1, results=results, duration=Times.of(durations))
        )
        self.ends.append(max(round(self.ended_at * 1000), (self.ends or [0])[-1] + 1))

    def end(self, closed: bool = True) -> None:
        if closed and self.timeline is not None:
            self.timeline.close()
        self.job.state = State.FINISHED
        self.job.ended_at = START + timedelta(seconds=self.ended_at + 1)
        self.feed.complete = True

    def next(self) -> SecondsBatch | None:
        self.feed.due_in(self.now, at_once=False)
        for _ in self.feed.load_steps(SIZE):
            pass
        return self.feed.next(SIZE)

    now = 0.0

    def send(self, commit: bool = True) -> bool:
        """Send the next batch, and note its samples; return whether there was one."""
        batch = self.next()
        if batch is None:
            return False
        self.sent.append(batch)
        assert batch.units <= MAX_WINDOWS
        for second, totals in batch.totals():
            if second.end in self.samples:
                assert self.samples[second.end] == totals
            self.samples[second.end] = totals.copy()
        if commit:
            self.feed.commit(delivered=batch.results)
        return True

    def drain(self) -> None:
        while self.send():
            pass

    def thin(self, upto: int, each: int) -> None:
        """Replace the file by one whose first windows are merged, as a thinning does."""
        lines = [decode_line(line) for line in self.path.read_bytes().splitlines(keepends=True)]
        windows = [line.window for line in lines if line and line.window]
        others = [line for line in lines[1:] if line and not line.window]
        merged = [*thin(windows[:upto], each), *windows[upto:]]
        new = self.path.with_suffix(".new")
        header = encode_line(Line(version=1, start=START))
        data = [encode_line(line) for line in ([Line(window=one) for one in merged] + others)]
        new.write_bytes(header + b"".join(data))
        if self.timeline is not None and not self.timeline._closed:
            os.close(self.timeline._descriptor)
            self.timeline._descriptor = os.open(new, os.O_RDWR)
            self.timeline._size = new.stat().st_size
        new.rename(self.path)

    def restart(self) -> None:
        """Lose everything but the checkpoint."""
        complete = self.feed.complete
        self.feed.close()
        self.feed = self.new_feed()
        self.feed.complete = complete

    def close(self) -> None:
        if self.timeline is not None:
            self.timeline.close()
        self.feed.close()
        self.log.close()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Make a run."""
    made = Run(tmp_path)
    yield made
    made.close()


def assert_complete(run: Run) -> None:
    """Assert that the last sample has all results, and that the account holds."""
    counts = run.job.results
    assert counts.valid == run.written
    assert counts.pending == 0
    assert counts.delivered + counts.rejected == counts.valid
    assert run.feed.is_finished
    if run.written:
        last = run.samples[max(run.samples)]
        assert last.results == last.duration.count == run.written


def test_a_run(run: Run) -> None:
    """Windows are sent as they come, the last one with the end of the run."""
    assert not run.send()
    run.second(3)
    run.second(0)
    assert run.send()
    assert (run.sent[0].first, run.sent[0].end, run.sent[0].results) == (0, 2000, 3)
    assert run.sent[0].is_first
    assert not run.send()
    run.print(1)
    run.second(4)
    run.end()
    assert run.send()
    assert (run.sent[1].first, run.sent[1].end) == (2000, 4000)
    run.drain()
    assert [batch.is_last for batch in run.sent] == [False, True]
    assert run.job.checkpoint.committed == 4000
    assert_complete(run)


def test_the_end_after_all_windows(run: Run) -> None:
    """If all windows were sent before the run ended, its end is a batch without windows."""
    run.second(3)
    assert run.send()
    run.end()
    assert run.send()
    batch = run.sent[-1]
    assert (batch.units, batch.results, batch.is_last, batch.is_empty) == (0, 0, True, False)
    assert not run.send()
    assert_complete(run)


def test_polls(run: Run) -> None:
    """A live run is looked at each second, also without results, and one that is over at once."""
    run.now = 10.0
    assert run.feed.due_in(10.0, at_once=False) == 0
    assert not run.send()
    assert run.feed.due_in(10.25, at_once=True) == POLL_SECONDS - 0.25
    assert run.feed.on_appended(10.5) is False
    run.end()
    assert run.feed.due_in(10.25, at_once=False) == 0


def test_a_window_without_length(run: Run) -> None:
    """Results that came with the end of the last second have a sample of their own."""
    run.second(3)
    run.second(5, length=0.0002)
    run.end()
    run.drain()
    assert sorted(run.samples) == [1000, 1001]
    assert_complete(run)


def test_no_load(tmp_path: Path) -> None:
    """A run that was never driven and printed nothing sends nothing, and ends."""
    run = Run(tmp_path, has_timeline=False)
    run.end()
    assert not run.send()
    assert run.feed.is_finished
    run.close()


def test_results_without_a_timeline(tmp_path: Path) -> None:
    """They are delivered in windows of their timestamps."""
    run = Run(tmp_path, has_timeline=False)
    for _ in range(3):
        run.print(1000)
        run.print(5, status=500)
        run.ended_at += 1
    run.end()
    run.drain()
    assert sorted(run.samples) == [1000, 2000, 3000]
    assert run.samples[3000].errors == 15
    assert run.samples[3000].bytes == 7 * 3015
    assert_complete(run)
    run.close()


def test_a_killed_run(run: Run) -> None:
    """Results after the last window come from the log, also the second time."""
    run.second(1000)
    run.second(2000)
    run.drain()
    run.print(321, status=404)
    run.end(closed=False)
    assert run.send(commit=False)
    run.restart()
    run.drain()
    assert [batch.results for batch in run.sent] == [3000, 321, 321]
    assert run.samples[3000].errors == 321
    assert_complete(run)


def test_a_cut_line(run: Run) -> None:
    """A line that is not whole is read when it is, and a damaged one ends the timeline."""
    run.second(3)
    run.second(4)
    whole = run.path.read_bytes()
    os.truncate(run.path, len(whole) - 10)
    assert run.send()
    assert run.sent[0].results == 3
    run.path.write_bytes(whole)
    assert run.send()
    assert run.sent[1].results == 4
    run.second(5)
    run.end()
    damaged = run.path.read_bytes().splitlines(keepends=True)
    damaged[3] = b'{"window":' + damaged[3][10:]
    run.path.write_bytes(b"".join(damaged))
    run.drain()
    assert_complete(run)


def test_windows_that_could_not_be_written(run: Run) -> None:
    """Their results are missing: they are not taken for those at the end of the log."""
    run.second(3)
    run.print(10)
    run.ended_at += 1
    assert run.timeline is not None
    run.timeline._lose("disk full")
    run.second(4)
    run.end()
    run.drain()
    assert run.job.results.pending == run.feed.missing() == 10
    assert run.samples[3000].results == 7


def test_a_long_run_in_bounded_batches(run: Run) -> None:
    """A long timeline is sent in batches, none of which exceeds the limits; halves are the same."""
    for _ in range(3 * MAX_WINDOWS):
        run.second(2)
    run.end()
    batch = run.next()
    assert batch is not None
    whole = [(second, totals.copy()) for second, totals in batch.totals()]
    head, rest = batch.halves()
    parts = [(second, totals.copy()) for half in (head, rest) for second, totals in half.totals()]
    assert parts == whole
    assert (head.results + rest.results, rest.first, rest.end) == (128, head.end, batch.end)
    run.drain()
    assert [batch.units for batch in run.sent] == [MAX_WINDOWS] * 3 + [0]
    assert_complete(run)


def test_a_rejected_window(run: Run) -> None:
    """It is written to the file of rejected results, and its results are counted."""
    run.second(2)
    run.second(3)
    run.end()
    batch = run.next()
    assert batch is not None
    run.feed.split()
    first = run.feed.batches[0]
    run.feed.reject(Response(400, text="no"))
    run.feed.commit(rejected=first.results)
    run.drain()
    assert run.job.results.rejected == 2
    lines = (run.path.parent / "rejected.jsonl").read_text().splitlines()
    assert len(lines) == 1
    assert '"last": 999' in lines[0]
    assert_complete(run)


actions = st.lists(
    st.sampled_from(["second", "second", "second", "send", "send", "lose", "restart", "release"])
    | st.tuples(st.integers(1, 12), st.integers(2, 4)),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(actions, st.lists(st.integers(0, 3), min_size=40, max_size=40), st.integers(0, 5))
def test_any_history(history: list[object], results: list[int], tail: int) -> None:
    """One time has one total, after any thinning, repeat, loss and release."""
    with TemporaryDirectory() as directory:
        run = Run(Path(directory))
        for action, number in zip(history, results, strict=False):
            if action == "second":
                run.second(number)
            elif action in ("send", "lose"):
                run.send(commit=action == "send")
                if action == "lose":
                    run.restart()
            elif action == "restart":
                run.restart()
            elif action == "release":
                run.feed.release()
            elif isinstance(action, tuple):
                run.thin(*action)
        run.print(tail)
        run.end(closed=tail == 0)
        run.drain()
        assert_complete(run)
        run.close()


def test_thinning_across_the_cursor(run: Run) -> None:
    """A merged window of which a part was sent counts the rest once."""
    for results in (1, 2, 4, 8):
        run.second(results)
    assert run.next() is not None
    run.feed.split()
    run.feed.split()  # the first window alone
    assert run.send()
    assert run.job.results.delivered == 1
    run.feed.release()
    run.thin(4, 2)
    run.drain()
    assert [one.results for one in run.sent] == [1, 14]
    assert sorted(run.samples) == [1000, 2000, 4000]
    assert run.job.results.pending == 0
