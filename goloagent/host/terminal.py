"""The terminal of the agent, where one line reports why it cannot start.

twistd redirects `sys.stderr` to the log, and a daemon's standard error is closed, so the descriptor
is copied before the fork.
"""

from __future__ import annotations

import os
import sys

import attrs
from twisted.logger import Logger
from twisted.python.failure import Failure

from goloagent.host.startup_error import StartupError, reason


@attrs.define
class Terminal:
    """Standard error, open as `descriptor`. If it `shows_log`, errors are not logged too."""

    daemon: bool
    descriptor: int
    shows_log: bool = False

    _log = Logger()

    @classmethod
    def keep(cls, daemon: bool, log_on_stdout: bool = False) -> Terminal:
        """Copy standard error, before twistd forks."""
        try:
            shows_log = log_on_stdout and os.isatty(2) and os.path.sameopenfile(1, 2)
            return cls(daemon, os.dup(2), shows_log)
        except OSError:  # it is closed
            return cls(daemon, -1)

    def close(self) -> None:
        """Close the terminal of a daemon, which has started."""
        if self.daemon:
            self._close()

    def report(self, failure: Failure) -> str:
        """Log why the agent cannot start, write it on the terminal, and return it."""
        error = failure.value
        if isinstance(error, StartupError):
            sentence = str(error)
            if not self.shows_log:
                self._log.critical("cannot start: {error}", error=sentence)
        else:
            words = reason(error) if isinstance(error, Exception) else str(error)
            sentence = f"the start failed: {type(error).__name__}: {words}; the log says where"
            self._log.failure("cannot start: {error}", failure, error=sentence)
        line = f"golo-agent: {' '.join(sentence.splitlines())}\n"
        if self.descriptor >= 0:
            try:
                os.write(self.descriptor, line.encode(errors="backslashreplace"))
            except OSError:
                self._close()  # the terminal is gone
        return sentence

    def refuse(self, error: Exception) -> BaseException:
        """Report `error`; return the exception to raise so that twistd exits with code 1.

        A daemon must raise an Exception, which the waiting twistd prints; its traceback in the log
        is suppressed.
        """
        sentence = self.report(Failure(error))
        self._close()
        if not self.daemon:
            return SystemExit(1)
        sys.excepthook = _no_traceback
        return StartupError(sentence)

    def _close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1


def _no_traceback(*_: object) -> None:
    """Print nothing, because the error is reported already."""
