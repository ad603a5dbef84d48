"""The files of one run that is received: its log, and a record of each stored push.

A push is stored when its record is durable: ``pushes.jsonl`` has the key of each, and where the log
ends with it. The log is durable before the record, and what is behind the last record is removed
at the next start. So a kill or a loss of power between the two neither doubles nor loses results.

All calls block. They raise the errors of `run_directory`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

import attrs
import msgspec

from goloagent.collect.marks import MAX_KEYS, Marks
from goloagent.collect.push import MAX_KEY_CHARS, Push, Source
from goloagent.filesystem import durable
from goloagent.wal.run_directory import OUT, LogPathError, open_file
from goloagent.wal.run_log import RunLogReader, RunLogSync, RunLogWriter, open_sync, write_all

PUSHES = "pushes.jsonl"
DESCRIPTORS = 5
"""Of the open files of a run."""

_TAIL_BYTES = MAX_KEYS * (MAX_KEY_CHARS + 200)


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stored push: `size` of the log with it, and the end of its range at the sender, or 0."""

    size: int
    sender: str
    key: str = ""
    end: int = 0


@attrs.define(eq=False)
class Journal:
    """The open files of a run."""

    log: RunLogWriter
    _sync: RunLogSync
    _out: int
    _pushes: int
    _pushes_size: int = 0

    @classmethod
    def create(cls, logs: Path, name: str, job_id: str) -> Journal:
        """Create the files of a new run."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        with ExitStack() as opened:
            log = RunLogWriter.create(logs, name, job_id)
            opened.callback(log.close)
            sync = open_sync(logs, name, job_id)
            opened.callback(sync.close)
            out = open_file(logs, name, job_id, OUT, os.O_RDWR)
            opened.callback(os.close, out)
            pushes = open_file(logs, name, job_id, PUSHES, flags)
            opened.pop_all()
            return cls(log, sync, out, pushes)

    def append(self, pushes: Iterable[Push]) -> None:
        """Store pushes, all or none of them, durably.

        Raises:
            SyncFailed: they may be stored, and nothing more can be.
            OSError: none is stored.
        """
        size, records = self.log.size, []
        try:
            for push in pushes:
                self.log.append_stdout(push.text)
                record = Record(self.log.size, push.source.sender, push.key, push.end)
                records.append(msgspec.json.encode(record) + b"\n")
            self._sync.sync()
            data = b"".join(records)
            write_all(self._pushes, data)
            durable.sync(self._pushes)
            self._pushes_size += len(data)
        except durable.SyncFailed:
            raise
        except OSError:
            self._undo(size)
            self.log.size, self.log.version = size, RunLogReader(self._out).version()
            raise

    def _undo(self, size: int) -> None:
        """Remove what a failed append has written; `size` is that of the log before it."""
        try:
            os.ftruncate(self._pushes, self._pushes_size)
            os.ftruncate(self._out, size)
        except OSError as error:  # the next start does it
            raise durable.SyncFailed(error.errno, error.strerror) from error

    def close(self) -> None:
        """Close the files."""
        self.log.close()
        self._sync.close()
        os.close(self._out)
        os.close(self._pushes)


def read_marks(logs: Path, name: str, job_id: str) -> tuple[Source, Marks, int] | None:
    """Return the source and the marks of a run, and the size of its log; None without a push.

    Raises:
        FileNotFoundError: there is no file of pushes, with which each run begins.
    """
    descriptor = open_file(logs, name, job_id, PUSHES)
    try:
        size = os.fstat(descriptor).st_size
        start = max(0, size - _TAIL_BYTES)
        data = os.pread(descriptor, _TAIL_BYTES, start)
    finally:
        os.close(descriptor)
    lines = data.split(b"\n")[1 if start else 0 : -1]
    marks, last = Marks(), None
    for line in lines:
        # A kill leaves a part of the last line only, so another line that is none was damaged.
        with suppress(msgspec.DecodeError):
            last = msgspec.json.decode(line, type=Record)
            marks.add(last.key, last.end)
    return None if last is None else (Source(name, last.sender), marks, last.size)


def marks_of(logs: Path, jobs: list[tuple[str, str]]) -> dict[Source, Marks]:
    """Return the marks of each source from the runs of `jobs`, by name and id, the oldest first."""
    marks: dict[Source, Marks] = {}
    for name, job_id in jobs:
        try:
            found = read_marks(logs, name, job_id)
        except (OSError, LogPathError):
            continue
        if found is not None:
            source, own, _ = found
            known = marks.setdefault(source, Marks())
            known.add("", own.end)
            for key in own.keys:
                known.add(key, 0)
    return marks


def cut(logs: Path, name: str, job_id: str, size: int) -> None:
    """Remove what is in the log of a run beyond its last record."""
    descriptor = open_file(logs, name, job_id, OUT, os.O_RDWR)
    try:
        if os.fstat(descriptor).st_size > size:
            os.ftruncate(descriptor, size)
            durable.sync(descriptor)
    finally:
        os.close(descriptor)
