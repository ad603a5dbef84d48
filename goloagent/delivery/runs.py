"""A run's log as delivery uses it, with a file beside it for what the collector refused."""

from __future__ import annotations

import json
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
        lines = [
            json.dumps(
                {
                    "first": batch.first,
                    "last": batch.end - 1,
                    "status": answer.status,
                    "answer": answer.text[:1000],
                    "result": line.decode("utf-8", "replace"),
                }
            )
            for _, line in batch.lines
        ]
        with self.rejected.open("a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))

    def close(self) -> None:
        """Let go of the log."""
        self.reader.close()
