"""What each signal does to the agent: one table.

Handlers run in the main thread alone, because threads are started while the signals are blocked.
A signal that is ignored has a handler that does nothing, which programs that are executed do not
inherit.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from enum import Enum

import attrs
from twisted.logger import Logger


class Action(Enum):
    """What follows a signal."""

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
"""What would end the process by default, but for real-time signals, which are ignored, and those
of a defect (SIGABRT, SIGSEGV, …), which end it."""

_STOPPING = (Action.STOP, Action.STOP_UNLESS_IGNORED)


@attrs.define
class Signals:
    """Takes the signals of this process, in three steps: `install`, `hold`, `release`.

    Args:
        stop: is called with a signal's name, in the handler, once `release` was called.
        ignored: is called so for a signal that does nothing.
    """

    stop: Callable[[str], None]
    ignored: Callable[[str], None]
    _released: bool = attrs.field(init=False, default=False)
    _taken: set[signal.Signals] = attrs.field(init=False, factory=set)

    _log = Logger()

    def install(self) -> None:
        """Take the signals; until `hold`, one that stops raises SystemExit(0)."""
        # An earlier program may have ignored it: exit codes of children would be lost.
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
        """Have signals that stop wait until `release`, in this thread and those it starts."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._taken)

    def release(self) -> None:
        """Have `stop` called from now on, also for a signal that has waited."""
        self._released = True
        signal.signal(signal.SIGTERM, self._on_stop)  # the reactor has taken it for itself
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._taken)

    def close(self) -> None:
        """Ignore what would stop the agent: it has stopped, and its process is about to end."""
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
        self._log.info("{name}: the start is given up", name=name)
        raise SystemExit(0)

    def _on_ignored(self, number: int, _: object) -> None:
        try:
            name = signal.Signals(number).name
        except ValueError:  # most real-time signals have only a number
            name = f"signal {number}"
        self.ignored(name)
