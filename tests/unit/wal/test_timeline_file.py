"""The timeline's file: bounded, complete or saying what is missing, and never a reason to fail."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, maybeDeferred

from goloagent.core.timeline import Window
from goloagent.wal import timeline_file
from goloagent.wal.run_directory import open_file, remove_run, size_of_run
from goloagent.wal.run_log import RunLogWriter
from goloagent.wal.timeline_file import MAX_CHANGES, TimelineFile
from goloagent.wal.timeline_reader import TIMELINE, Timeline, TimelineReader, read
from goloagent.wal.timeline_thinning import TEMPORARY, thin_file

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
Run = tuple[Path, str, str]
InThread = Callable[..., Deferred[Any]]


class Worker:
    """A worker thread that begins its calls when the test asks for it."""

    def __init__(self) -> None:
        self._calls: list[Callable[[], Callable[[], None]]] = []

    def __call__(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()

        def call() -> Callable[[], None]:
            result = maybeDeferred(function, *args, no_rest)
            return lambda: result.chainDeferred(done)

        self._calls.append(call)
        return done

    def work_without_reply(self) -> list[Callable[[], None]]:
        """Run the calls that wait; return functions that return their results."""
        calls, self._calls = self._calls, []
        return [call() for call in calls]

    def work(self) -> int:
        """Run the calls that wait and return their results; return their number."""
        replies = self.work_without_reply()
        for reply in replies:
            reply()
        return len(replies)


def no_rest(_: float) -> None:
    """Do not sleep."""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Create the directory of a run."""
    RunLogWriter.create(tmp_path, "shop", "id").close()
    return tmp_path, "shop", "id"


@pytest.fixture
def worker() -> Worker:
    """Create a worker."""
    return Worker()


def timeline_of(run: Run) -> Timeline:
    """Read the timeline of a run."""
    reader = TimelineReader(open_file(*run, TIMELINE))
    try:
        return read(reader)
    finally:
        reader.close()


def path_of(run: Run, file: str = TIMELINE) -> Path:
    """Return the path of a file of a run."""
    return run[0] / run[1] / run[2] / file


def second(at: int) -> Window:
    """Return the window of one second."""
    return Window(float(at), 1.0, started=at)


def test_a_closed_timeline_is_complete(run: Run, worker: Worker) -> None:
    """It has all that was appended and noted."""
    file = TimelineFile(run, START, worker)
    file.append(second(0))
    file.note({"at": 0.5, "users": 7})
    file.append(second(1))
    file.close()
    file.close()
    file.append(second(2))
    assert timeline_of(run) == Timeline(
        START, [second(0), second(1)], [{"at": 0.5, "users": 7}], True, []
    )


@pytest.mark.parametrize("cut", [0, 1, 20])
def test_a_kill_loses_what_was_not_written(run: Run, worker: Worker, cut: int) -> None:
    """Windows up to the cut are there, and the timeline says that others are not."""
    file = TimelineFile(run, START, worker)
    for at in range(3):
        file.append(second(at))
    os.truncate(path_of(run), path_of(run).stat().st_size - cut)
    read = timeline_of(run)
    assert read.windows == [second(at) for at in range(2 if cut else 3)]
    assert not read.complete
    assert f"ends after {len(read.windows)} s" in read.missing[0]
    file.close()


def test_a_damaged_timeline(run: Run) -> None:
    """It is read up to the damage; nothing in the directory can make a read fail."""
    path_of(run).write_bytes(b"\0" * 2_000_000)
    assert timeline_of(run).windows == []
    assert timeline_of(run).start is None
    path_of(run).write_bytes(b"")
    assert not timeline_of(run).complete


@pytest.mark.parametrize("written", [0, 9])
def test_a_full_disk(
    run: Run, worker: Worker, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """Windows that do not fit are counted and named; later ones are whole, also after a part."""
    file = TimelineFile(run, START, worker)
    file.append(second(0))
    parts = [written]

    def pwrite(descriptor: int, data: Any, offset: int) -> int:
        if parts:
            if count := parts.pop():
                parts.append(0)
                return os.pwrite(descriptor, data[:count], offset)
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.pwrite(descriptor, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(timeline_file, "_pwrite", pwrite)
        file.append(second(1))
    assert file.lost == 1
    file.append(second(2))
    file.close()
    read = timeline_of(run)
    assert read.windows == [second(0), second(2)]
    assert not read.complete
    assert "No space left on device" in read.missing[0]


def test_a_directory_that_is_gone(run: Run, worker: Worker) -> None:
    """The run goes on, and the timeline begins once it can."""
    aside = run[0] / "aside"
    (run[0] / "shop").rename(aside)
    file = TimelineFile(run, START, worker)
    file.append(second(0))
    aside.rename(run[0] / "shop")
    file.append(second(1))
    file.close()
    read = timeline_of(run)
    assert (read.start, read.windows, read.complete) == (START, [second(1)], False)
    assert file.lost == 2


@pytest.mark.parametrize("place", ["shop", "shop/id", f"shop/id/{TIMELINE}"])
def test_no_link_is_followed(run: Run, worker: Worker, place: str) -> None:
    """Nothing elsewhere is written."""
    path_of(run).touch()
    planted = run[0] / place
    planted.rename(run[0] / "aside")
    planted.symlink_to(run[0] / "aside")
    file = TimelineFile(run, START, worker)
    file.append(second(0))
    file.close()
    aside = run[0] / "aside"
    files = [path for path in [aside, *aside.rglob("*")] if path.is_file()]
    assert files
    assert {path.stat().st_size for path in files} == {0}
    assert file.lost == 3


def test_a_long_run_is_thinned(run: Run, worker: Worker) -> None:
    """It has a bounded number of windows in order, with every count; the newest are seconds."""
    file = TimelineFile(run, START, worker, max_windows=8)
    longest = 0
    for at in range(200):
        file.append(second(at))
        if at % 3 == 0:  # windows are appended while a thread works
            worker.work()
        longest = max(longest, len(timeline_of(run).windows))
    file.note({"at": 200})
    file.close()
    read = timeline_of(run)
    assert read.complete
    assert longest <= 8 + 3
    assert sum(window.started for window in read.windows) == sum(range(200))
    ends = [0.0, *(window.at + window.seconds for window in read.windows)]
    assert ends[:-1] == [window.at for window in read.windows]
    assert read.windows[-1] == second(199)
    assert read.changes == [{"at": 200}]
    assert not path_of(run, TEMPORARY).exists()


def test_other_lines_stay_when_windows_are_thinned(run: Run, worker: Worker) -> None:
    """Changes are neither lost nor doubled."""
    file = TimelineFile(run, START, worker, max_windows=4)
    for at in range(5):
        file.append(second(at))
        file.note({"at": at})
    assert worker.work() == 1
    file.close()
    read = timeline_of(run)
    assert [change["at"] for change in read.changes] == list(range(5))
    assert len(read.windows) == 3
    assert (read.start, read.complete) == (START, True)


def test_a_timeline_that_cannot_be_thinned(run: Run, worker: Worker) -> None:
    """It is tried again later, and stays bounded if that never succeeds."""
    file = TimelineFile(run, START, worker, max_windows=4)
    path_of(run, TEMPORARY).mkdir()
    attempts = 0
    for at in range(20):
        file.append(second(at))
        attempts += worker.work()
    assert attempts > 1
    file.close()
    assert timeline_of(run).windows == [second(at) for at in range(8)]
    assert "cannot be thinned" in timeline_of(run).missing[0]


@pytest.mark.parametrize("late", [False, True])
def test_a_run_that_ends_while_its_timeline_is_thinned(
    run: Run, worker: Worker, late: bool
) -> None:
    """The file stays as it is, also if the thread has done its work already."""
    file = TimelineFile(run, START, worker, max_windows=4)
    for at in range(6):
        file.append(second(at))
    if late:
        results = worker.work_without_reply()
        file.close()
        for reply in results:
            reply()
    else:
        file.close()
        assert worker.work() == 1
    assert timeline_of(run).windows == [second(at) for at in range(6)]
    assert timeline_of(run).complete
    assert not path_of(run, TEMPORARY).exists()


def test_a_damaged_file_is_not_thinned(run: Run) -> None:
    """Because what is behind the damage would be lost."""
    path_of(run).write_bytes(b"{}\n?\n{}\n")
    with pytest.raises(OSError, match="damaged"):
        thin_file(run, 9, 2.0, lambda: False, no_rest)


def test_changes_are_bounded(run: Run, worker: Worker) -> None:
    """Those beyond the bound are dropped, and the timeline says so."""
    file = TimelineFile(run, START, worker)
    for at in range(MAX_CHANGES + 2):
        file.note({"at": at})
    file.close()
    read = timeline_of(run)
    assert len(read.changes) == MAX_CHANGES
    assert read.missing == [f"Only {MAX_CHANGES} changes are kept."]


def test_it_is_a_file_of_its_run(run: Run, worker: Worker) -> None:
    """Retention counts its bytes, and removes it with the run."""
    file = TimelineFile(run, START, worker, max_windows=4)
    for at in range(6):
        file.append(second(at))
    size = path_of(run).stat().st_size
    assert size_of_run(*run) == size > 0
    path_of(run, TEMPORARY).write_bytes(b"left by a kill")
    remove_run(*run)
    assert not path_of(run).parent.exists()
    file.append(second(6))
    file.close()
