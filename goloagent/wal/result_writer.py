"""Records what a load test prints: into its log at once, and into the counts of its lines.

To count lines may take long: it is done in steps, for which no more is to be read meanwhile.

After a failed write nothing more is written, so that no line is sewn together from two; what is
lost by that is counted too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from goloagent.core.record import Record
from goloagent.results.line_counter import LineCounter
from goloagent.wal.run_log import RunLogWriter


class ResultWriter:
    """Writes to `log`, which it owns; `tally` counts exactly what out.log has.

    `observe` is given the results in it.
    """

    def __init__(
        self, log: RunLogWriter, observe: Callable[[list[Record]], None] | None = None
    ) -> None:
        self._log = log
        self._broken = False
        self.tally = LineCounter(observe=observe)
        self._stderr_bytes = 0
        self.lost_bytes = 0
        self._uncounted: deque[Iterator[None]] = deque()

    @property
    def written_bytes(self) -> int:
        """How long the log is, both files together."""
        return self._log.size + self._stderr_bytes

    def stdout(self, data: bytes) -> None:
        """Write what the load test printed; its lines are counted by `count`.

        Raises:
            OSError: not all of it could be written; told once.
        """
        before = self._log.size
        try:
            self._write(self._log.append_stdout, data)
        finally:
            written = self._log.size - before
            self.lost_bytes += len(data) - written
            self._uncounted.append(self.tally.feed_steps(data[:written]))

    def stderr(self, data: bytes) -> None:
        """Take what the load test complained.

        Raises:
            OSError: not all of it could be written; told once.
        """
        self._write(self._log.append_stderr, data)
        self._stderr_bytes += len(data)

    def end(self) -> None:
        """Have `count` count a last line without a newline, too; nothing is written any more."""
        self._uncounted.append(self.tally.close_steps())

    def count(self) -> Iterator[None]:
        """Count the lines that are written, in steps; those left are taken the next time."""
        while self._uncounted:
            try:
                for _ in self._uncounted[0]:
                    yield
            except Exception:
                self._uncounted.popleft()
                raise
            self._uncounted.popleft()

    def close(self) -> None:
        """Let go of the files; what is not counted yet is counted at once."""
        try:
            for _ in self.count():
                pass
        finally:
            self._log.close()

    def _write(self, append: Callable[[bytes], object], data: bytes) -> None:
        if self._broken:
            return
        try:
            append(data)
        except OSError:
            self._broken = True
            raise
