"""Records what a load test prints: into its log at once, and into the counts of its lines.

After a failed write nothing more is written, so that no line is sewn together from two; what is
lost by that is counted too.
"""

from __future__ import annotations

from collections.abc import Callable

from goloagent.results.record import Record
from goloagent.results.runlog import RunLog
from goloagent.results.tally import Tally


class Recorder:
    """Writes to `log`, which it owns; `tally` counts exactly what out.log has.

    `observe` is given the results in it.
    """

    def __init__(self, log: RunLog, observe: Callable[[list[Record]], None] | None = None) -> None:
        self._log = log
        self._broken = False
        self.tally = Tally(observe=observe)
        self._stderr_bytes = 0
        self.lost_bytes = 0

    @property
    def written_bytes(self) -> int:
        """How long the log is, both files together."""
        return self._log.size + self._stderr_bytes

    def stdout(self, data: bytes) -> None:
        """Take what the load test printed.

        Raises:
            OSError: not all of it could be written; told once.
        """
        before = self._log.size
        try:
            self._write(self._log.append_stdout, data)
        finally:
            written = self._log.size - before
            self.lost_bytes += len(data) - written
            self.tally.feed(data[:written])

    def stderr(self, data: bytes) -> None:
        """Take what the load test complained.

        Raises:
            OSError: not all of it could be written; told once.
        """
        self._write(self._log.append_stderr, data)
        self._stderr_bytes += len(data)

    def close(self) -> None:
        """Count a last line without a newline, and let go of the files."""
        try:
            self.tally.close()
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
