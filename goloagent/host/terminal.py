"""The terminal on which the agent was started: it is told in one line why the agent cannot start.

twistd makes `sys.stderr` a part of the log, and a daemon's standard error leads nowhere. So a copy
of the descriptor is kept from before the fork.
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
    """Standard error, open as `descriptor`, of an agent that is a `daemon` or is not.

    If it `shows_log`, a sentence is written on it and not logged: a person would read it twice.
    """

    daemon: bool
    descriptor: int
    shows_log: bool = False

    _log = Logger()

    @classmethod
    def keep(cls, daemon: bool, log_on_stdout: bool = False) -> Terminal:
        """Copy standard error; to be called before twistd forks."""
        try:
            shows_log = log_on_stdout and os.isatty(2) and os.path.sameopenfile(1, 2)
            return cls(daemon, os.dup(2), shows_log)
        except OSError:  # it is closed
            return cls(daemon, -1)

    def close(self) -> None:
        """Release the terminal if the agent is a daemon: it has started."""
        if self.daemon:
            self._close()

    def report(self, failure: Failure) -> str:
        """Log why the agent cannot start and write it on the terminal; return the sentence."""
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
                self._close()  # it is gone, and the log has the sentence
        return sentence

    def refuse(self, error: Exception) -> BaseException:
        """Report `error`; return what to raise, so that twistd ends with exit code 1.

        The twistd that waits for a daemon must be told of an Exception. It prints the first words
        of it, whatever they are; the traceback, which the log would get, says nothing new.
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
    """Print nothing: the sentence is reported already."""
