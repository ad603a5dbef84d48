"""Writes a load test's output to its log at once, and counts its lines in steps.

After a failed write nothing more is written, because a line could be joined from two. The lost
bytes are counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from goloagent.core.record import Record
from goloagent.results.line_counter import LineCounter
from goloagent.wal.run_log import RunLogWriter


class ResultWriter:
    """Writes to `log`, which it owns.

    Args:
        observe: called with the results, block by block.
    """

    def __init__(
        self, log: RunLogWriter, observe: Callable[[list[Record]], None] | None = None
    ) -> None:
        self._log = log
        self._has_failed = False
        self.line_counter = LineCounter(observe=observe)
        self._stderr_bytes = 0
        self.lost_bytes = 0
        self._uncounted: deque[Iterator[None]] = deque()

    @property
    def written_bytes(self) -> int:
        """The number of bytes of both files."""
        return self._log.size + self._stderr_bytes

    def stdout(self, data: bytes) -> None:
        """Write stdout; `count` counts its lines.

        Raises:
            OSError: it is not written whole; later calls raise nothing.
        """
        before = self._log.size
        try:
            self._write(self._log.append_stdout, data)
        finally:
            written = self._log.size - before
            self.lost_bytes += len(data) - written
            self._uncounted.append(self.line_counter.feed_steps(data[:written]))

    def stderr(self, data: bytes) -> None:
        """Write stderr.

        Raises:
            OSError: it is not written whole; later calls raise nothing.
        """
        self._write(self._log.append_stderr, data)
        self._stderr_bytes += len(data)

    def end(self) -> None:
        """Let `count` include a last line without a newline, because nothing more is written."""
        self._uncounted.append(self.line_counter.close_steps())

    def count(self) -> Iterator[None]:
        """Count the written lines in steps; a later call continues after the last step."""
        while self._uncounted:
            try:
                for _ in self._uncounted[0]:
                    yield
            except Exception:
                self._uncounted.popleft()
                raise
            self._uncounted.popleft()

    def close(self) -> None:
        """Close the files, and count the rest at once."""
        try:
            for _ in self.count():
                pass
        finally:
            self._log.close()

    def _write(self, append: Callable[[bytes], object], data: bytes) -> None:
        if self._has_failed:
            return
        try:
            append(data)
        except OSError:
            self._has_failed = True
            raise
