"""Reports damaged rows of the database: one notice for the operator, every row in the log."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger


class DamagedRows:
    """Reports damaged rows: the first by `notice`, the others in the log only."""

    _log = Logger()

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._noticed = False

    def __call__(self, sentence: str) -> None:
        """Report one row."""
        if self._noticed:
            self._log.error("{sentence}", sentence=sentence)
        else:
            self._noticed = True
            self._notice(f"{sentence}; further damaged rows are named in the log")
