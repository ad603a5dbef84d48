"""A run's log as delivery uses it, with a file beside it for what the collector refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import attrs

from goloagent.delivery.cursor import Batch
from goloagent.delivery.policy import Answer
from goloagent.results.runlog import LogReader


@attrs.frozen
class RunOfResults:
    """The log read by `reader`; refused results go to `rejected`, one JSON object a line."""

    reader: LogReader
    rejected: Path

    def read(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset`; fewer only at the end."""
        return self.reader.read(offset, count)

    def reject(self, batch: Batch, answer: Answer) -> None:
        """Append the results of `batch` with the collector's answer.

        Raises:
            OSError: they cannot be written.
        """
        text = "".join(f"{_refusal(batch, line, answer)}\n" for _, line in batch.lines).encode()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(self.rejected, flags, 0o640), "ab", buffering=0) as file:
            size = file.tell()
            try:
                rest = memoryview(text)
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                # Half a line would spoil the one that follows it.
                file.truncate(size)
                raise

    def close(self) -> None:
        """Let go of the log."""
        self.reader.close()


def _refusal(batch: Batch, line: bytes, answer: Answer) -> str:
    return json.dumps(
        {
            "first": batch.first,
            "last": batch.end - 1,
            "status": answer.status,
            "answer": answer.text[:1000],
            "result": line.decode("utf-8", "replace"),
        }
    )
