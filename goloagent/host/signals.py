"""The signals of the agent, and the action of each.

Threads start with the signals blocked, so that handlers run in the main thread. Ignored signals
have a handler, because executed programs inherit SIG_IGN but no handler.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from enum import Enum

import attrs
from twisted.logger import Logger


class Action(Enum):
    """The action of a signal."""

    STOP = "stops in order, even if the signal was ignored or blocked at the start"
    STOP_UNLESS_IGNORED = "stops in order, unless the signal was ignored at the start (`nohup`)"
    IGNORE = "logs that it is ignored"
    IGNORE_UNLESS_HANDLED = "lets twistd rotate its `--logfile`, or else logs that it is ignored"


ACTIONS = {
    "SIGTERM": Action.STOP,
    "SIGINT": Action.STOP_UNLESS_IGNORED,
    "SIGHUP": Action.STOP_UNLESS_IGNORED,
    "SIGQUIT": Action.STOP_UNLESS_IGNORED,
    "SIGXCPU": Action.STOP_UNLESS_IGNORED,
    "SIGUSR1": Action.IGNORE_UNLESS_HANDLED,
    "SIGUSR2": Action.IGNORE,
    "SIGALRM": Action.IGNORE,
    "SIGVTALRM": Action.IGNORE,
    "SIGPROF": Action.IGNORE,
    "SIGIO": Action.IGNORE,
    "SIGPWR": Action.IGNORE,
    "SIGSTKFLT": Action.IGNORE,
    "SIGPIPE": Action.IGNORE,
    "SIGXFSZ": Action.IGNORE,
}
"""The signals that end a process by default. Real-time signals are ignored too; the signals of a
defect (SIGABRT, SIGSEGV, …) end the agent."""

_STOPPING = (Action.STOP, Action.STOP_UNLESS_IGNORED)


@attrs.define
class Signals:
    """Handles the signals of this process, in three steps: `install`, `hold`, `release`.

    Args:
        stop: called in the handler with the signal's name, after `release`.
        ignored: called in the handler with the name of an ignored signal.
    """

    stop: Callable[[str], None]
    ignored: Callable[[str], None]
    _released: bool = attrs.field(init=False, default=False)
    _taken: set[signal.Signals] = attrs.field(init=False, factory=set)

    _log = Logger()

    def install(self) -> None:
        """Install the handlers; until `hold`, a signal that stops raises SystemExit(0)."""
        # If a parent has ignored it, exit codes of children would be lost.
        if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for name, action in ACTIONS.items():
            number = getattr(signal, name, None)
            if number is None:  # not on every processor
                continue
            found = signal.getsignal(number)
            if action is Action.STOP or found in (signal.SIG_DFL, signal.default_int_handler):
                self._take(number, action)
        for number in range(signal.SIGRTMIN, signal.SIGRTMAX + 1):
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, self._on_ignored)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def hold(self) -> None:
        """Block signals that stop until `release`, in this thread and those it starts."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._taken)

    def release(self) -> None:
        """Call `stop` for each such signal from now on, including a blocked one."""
        self._released = True
        signal.signal(signal.SIGTERM, self._on_stop)  # the reactor has taken it for itself
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._taken)

    def close(self) -> None:
        """Ignore signals that stop: the agent has stopped, and its process exits next."""
        for number in self._taken:
            signal.signal(number, signal.SIG_IGN)

    def _take(self, number: signal.Signals, action: Action) -> None:
        if action in _STOPPING:
            self._taken.add(number)
            signal.signal(number, self._on_stop)
        else:
            signal.signal(number, self._on_ignored)

    def _on_stop(self, number: int, _: object) -> None:
        name = signal.Signals(number).name
        if self._released:
            self.stop(name)
            return
        self._log.info("{name}: the start is aborted", name=name)
        raise SystemExit(0)

    def _on_ignored(self, number: int, _: object) -> None:
        try:
            name = signal.Signals(number).name
        except ValueError:  # most real-time signals have only a number
            name = f"signal {number}"
        self.ignored(name)
