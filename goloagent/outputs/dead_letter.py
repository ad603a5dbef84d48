"""The dead letters of a run: rejected results, in ``rejected.jsonl`` next to its log."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import RawIOBase

import attrs

from goloagent.jobs.job import Job
from goloagent.outputs.sink import Response
from goloagent.outputs.source import RejectedBatch
from goloagent.wal.run_files import RunFiles
from goloagent.wal.run_log import RunLogReader
from goloagent.wal.sidecar import rejected_file

_BLOCK_BYTES = 64 * 1024


@attrs.define
class DeadLetterRun:
    """A run's log, and the file of its rejected results, one JSON object a line.

    Args:
        open_rejected: opens that file for reading and appending, or raises OSError.
    """

    reader: RunLogReader
    open_rejected: Callable[[], int]
    _last_key: str | None = attrs.field(default=None, init=False)

    def read(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset`; fewer only at the end."""
        return self.reader.read(offset, count)

    def size(self) -> int:
        """Return the number of bytes."""
        return self.reader.size()

    def version(self) -> tuple[int, int, int]:
        """Return the device and inode of the log, and the time of its last change."""
        return self.reader.version()

    def reject(self, batch: RejectedBatch, response: Response) -> None:
        """Append the results of `batch` with the response.

        A batch that was written before a kill, and not committed, is not written again.

        Raises:
            OSError: they cannot be written.
        """
        with os.fdopen(self.open_rejected(), "a+b", buffering=0) as file:
            if self._last_key is None:
                self._last_key = _read_last_key(file)
            if self._last_key == batch.key:
                return
            text = "".join(
                f"{_dead_letter(batch, line, response)}\n" for line in batch.lines
            ).encode()
            size = file.seek(0, os.SEEK_END)
            try:
                rest = memoryview(text)
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                # A part of a line would corrupt the next one. The next call removes what stays.
                self._last_key = None
                with suppress(OSError):
                    file.truncate(size)
                raise
            self._last_key = batch.key

    def close(self) -> None:
        """Close the log."""
        self.reader.close()


def open_for_delivery(files: RunFiles, output: str, job: Job) -> DeadLetterRun:
    """Open a run's results for delivery to an output.

    Raises:
        OSError: there is no log, or it cannot be read.
        LogPathError: its path is no file.
    """
    return DeadLetterRun(files.open(job), partial(files.open_rejected, job, rejected_file(output)))


def _dead_letter(batch: RejectedBatch, line: bytes, response: Response) -> str:
    return json.dumps(
        {
            "first": batch.first,
            "last": batch.end - 1,
            "status": response.status,
            "answer": response.text[:1000],
            "result": line.decode("utf-8", "replace"),
        }
    )


def _read_last_key(file: RawIOBase) -> str:
    """Return the key in the last line, and remove a partial line that a kill has left."""
    start = size = file.seek(0, os.SEEK_END)
    tail = b""
    while start and tail.count(b"\n") < 2:
        count = min(_BLOCK_BYTES, start)
        start -= count
        tail = os.pread(file.fileno(), count, start) + tail
    whole = tail.rfind(b"\n") + 1
    if whole < len(tail):
        file.truncate(size - len(tail) + whole)
    try:
        last = json.loads(tail[:whole].splitlines()[-1])
        return f"{last['first']}-{last['last']}"
    except (IndexError, KeyError, TypeError, ValueError):
        return ""  # it is empty, or written by another program
