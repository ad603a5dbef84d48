"""The files of a received run: whatever a kill leaves, stored pushes are there, once."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from goloagent.collect import journal as module
from goloagent.collect.journal import PUSHES, Journal, cut, marks_of, read_marks
from goloagent.collect.push import Push, Source
from goloagent.filesystem.durable import SyncFailed

JOB = "0b1e5b84-6f4e-4b6e-9d2c-0a7b6d1f2e3c"
OTHER = "1b1e5b84-6f4e-4b6e-9d2c-0a7b6d1f2e3c"
SOURCE = Source("shop", JOB)


def push(first: int, end: int, key: str = "") -> Push:
    """Return a push whose text is as long as its range, or has 10 bytes."""
    text = b"x" * ((end - first or 10) - 1) + b"\n"
    return Push(SOURCE, key or f"{JOB}/{first}-{end - 1}", first, end, text, 1, "peer")


def files(logs: Path, job_id: str = JOB) -> tuple[Path, Path]:
    """Return the paths of the log and of the records."""
    return logs / "shop" / job_id / "out.log", logs / "shop" / job_id / PUSHES


def test_what_was_stored_is_known_again(tmp_path: Path) -> None:
    """The marks of a run are in its records, and those of a source in all its runs."""
    journal = Journal.create(tmp_path, "shop", JOB)
    journal.append([push(0, 20), push(20, 50)])
    journal.append([push(0, 0, "other")])
    journal.close()
    source, marks, size = read_marks(tmp_path, "shop", JOB) or pytest.fail("no marks")
    assert (source, marks.end, list(marks.keys), size) == (SOURCE, 50, ["other"], 60)
    later = Journal.create(tmp_path, "shop", OTHER)
    later.append([push(50, 90)])
    later.close()
    runs = [("shop", JOB), ("shop", OTHER), ("shop", "gone")]
    known = marks_of(tmp_path, runs)[SOURCE]
    assert (known.end, list(known.keys)) == (90, ["other"])


def test_a_kill_at_any_byte(tmp_path: Path) -> None:
    """With any part of the last push on the disk, either all of it is stored or nothing."""
    journal = Journal.create(tmp_path, "shop", JOB)
    out, records = files(tmp_path)
    journal.append([push(0, 20)])
    before = out.read_bytes(), records.read_bytes()
    journal.append([push(20, 50)])
    journal.close()
    after = out.read_bytes(), records.read_bytes()
    # The log is durable before the record is written.
    kills = [(size, len(before[1])) for size in range(len(before[0]), len(after[0]) + 1)]
    kills += [(len(after[0]), size) for size in range(len(before[1]), len(after[1]) + 1)]
    for out_size, records_size in kills:
        out.write_bytes(after[0][:out_size])
        records.write_bytes(after[1][:records_size])
        _, marks, size = read_marks(tmp_path, "shop", JOB) or pytest.fail("no marks")
        cut(tmp_path, "shop", JOB, size)
        is_stored = records_size == len(after[1])
        assert marks.end == (50 if is_stored else 20)
        assert out.read_bytes() == (after if is_stored else before)[0]


def test_a_full_disk_stores_nothing_of_a_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal removes the written part of a group, and stores the next one whole."""
    journal = Journal.create(tmp_path, "shop", JOB)
    out, records = files(tmp_path)
    journal.append([push(0, 20)])

    def fail(descriptor: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "write_all", fail)
    with pytest.raises(OSError, match="No space"):
        journal.append([push(20, 50), push(50, 60)])
    monkeypatch.undo()
    assert out.stat().st_size == 20
    assert records.read_bytes().count(b"\n") == 1
    journal.append([push(20, 50)])
    journal.close()
    _, marks, size = read_marks(tmp_path, "shop", JOB) or pytest.fail("no marks")
    assert (marks.end, size, out.stat().st_size) == (50, 50, 50)


def test_a_failed_write_that_cannot_be_undone_is_final(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next push would be stored behind results that no response has confirmed."""
    journal = Journal.create(tmp_path, "shop", JOB)
    out, _ = files(tmp_path)
    journal.append([push(0, 20)])

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(module, "write_all", fail)
    monkeypatch.setattr("os.ftruncate", fail)
    with pytest.raises(SyncFailed):
        journal.append([push(20, 50)])
    monkeypatch.undo()
    journal.close()
    _, _, size = read_marks(tmp_path, "shop", JOB) or pytest.fail("no marks")
    cut(tmp_path, "shop", JOB, size)
    assert out.stat().st_size == 20


def test_a_failed_sync_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported as such, because a later one would prove nothing."""
    journal = Journal.create(tmp_path, "shop", JOB)

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(SyncFailed):
        journal.append([push(0, 20)])
    monkeypatch.undo()
    journal.close()


@pytest.mark.parametrize("failing", ["open_sync", "open_file"])
def test_a_failed_creation_leaves_no_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """Senders repeat, so each descriptor that stays open counts; the next attempt succeeds."""

    def fail(*args: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    monkeypatch.setattr(module, failing, fail)
    for _ in range(3):
        with pytest.raises(OSError, match="Too many"):
            Journal.create(tmp_path, "shop", JOB)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    monkeypatch.undo()
    Journal.create(tmp_path, "shop", JOB).close()


def test_a_run_without_a_push(tmp_path: Path) -> None:
    """A run that has received nothing has no marks; one that is gone is not the same."""
    Journal.create(tmp_path, "shop", JOB).close()
    assert read_marks(tmp_path, "shop", JOB) is None
    with pytest.raises(FileNotFoundError):
        read_marks(tmp_path, "shop", OTHER)


def test_a_damaged_record(tmp_path: Path) -> None:
    """It costs what is known about its own push, and no result that a later one confirms."""
    journal = Journal.create(tmp_path, "shop", JOB)
    for first in (0, 20, 40):
        journal.append([push(first, first + 20)])
    journal.close()
    _, records = files(tmp_path)
    lines = records.read_bytes().split(b"\n")
    lines[1] = b"\0" * len(lines[1])
    records.write_bytes(b"\n".join(lines))
    _, marks, size = read_marks(tmp_path, "shop", JOB) or pytest.fail("no marks")
    assert (marks.end, size) == (60, 60)
