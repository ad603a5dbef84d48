"""A run's log as delivery uses it, with a file beside it for what the collector refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from io import RawIOBase

import attrs

from goloagent.jobs.job import Job
from goloagent.outputs.batch import Batch
from goloagent.outputs.sink import Response
from goloagent.wal.run_files import RunFiles
from goloagent.wal.run_log import RunLogReader

_BLOCK_BYTES = 64 * 1024


@attrs.define
class DeadLetterRun:
    """The log read by `reader`; refused results go to a file beside it, one JSON object a line.

    Args:
        open_rejected: opens that file for reading and appending, or raises OSError.
    """

    reader: RunLogReader
    open_rejected: Callable[[], int]
    _noted: str | None = attrs.field(default=None, init=False)

    def read(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset`; fewer only at the end."""
        return self.reader.read(offset, count)

    def size(self) -> int:
        """Return how many bytes there are."""
        return self.reader.size()

    def version(self) -> tuple[int, int, int]:
        """Return the device and inode of the log, and when it was changed last."""
        return self.reader.version()

    def reject(self, batch: Batch, answer: Response) -> None:
        """Append the results of `batch` with the collector's answer.

        What was noted just before a kill, and not committed, is refused again and not noted again.

        Raises:
            OSError: they cannot be written.
        """
        with os.fdopen(self.open_rejected(), "a+b", buffering=0) as file:
            if self._noted is None:
                self._noted = _last_noted(file)
            if self._noted == batch.key:
                return
            text = "".join(f"{_refusal(batch, line, answer)}\n" for line in batch.lines).encode()
            size = file.seek(0, os.SEEK_END)
            try:
                rest = memoryview(text)
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                # Half a line would spoil the one that follows it.
                file.truncate(size)
                raise
            self._noted = batch.key

    def close(self) -> None:
        """Let go of the log."""
        self.reader.close()


def open_for_delivery(files: RunFiles, job: Job) -> DeadLetterRun:
    """Open a run's results for delivery.

    Raises:
        OSError: there is no log, or it cannot be read.
        LogPathError: something else stands in its place.
    """
    return DeadLetterRun(files.open(job), partial(files.open_rejected, job))


def _refusal(batch: Batch, line: bytes, answer: Response) -> str:
    return json.dumps(
        {
            "first": batch.first,
            "last": batch.end - 1,
            "status": answer.status,
            "answer": answer.text[:1000],
            "result": line.decode("utf-8", "replace"),
        }
    )


def _last_noted(file: RawIOBase) -> str:
    """Return the key in the last line, and cut off what a kill has left of one behind it."""
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
        return ""  # nothing is noted, or what is there is none of ours
