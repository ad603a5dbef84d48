"""The first process of a load test: it leads its session and process group.

Held by a pidfd from its start on, so that a signal never meets a process, or a group, that has been
given the number since. Decides nothing.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from goloagent.sandbox import orphans

_PIDFD_SIGNAL_PROCESS_GROUP = 1 << 2  # linux/pidfd.h, since Linux 6.9


class Leader:
    """The process `pid`, a child that is not reaped yet; its group's members bear `mark`."""

    def __init__(self, pid: int, mark: str) -> None:
        self.pid = pid
        self._mark = mark
        self._pidfd = -1
        with suppress(OSError):  # without a descriptor to be had it is signalled by its number
            self._pidfd = os.pidfd_open(pid)

    def signal(self, number: int) -> None:
        """Signal the process, unless it has been reaped."""
        with suppress(ProcessLookupError):
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, number)
            elif self._is_child():
                os.kill(self.pid, number)

    def signal_group(self, number: int) -> None:
        """Signal its group; the process alone as long as it has not made the group."""
        try:
            self._signal_group(number)
        except ProcessLookupError:
            self.signal(number)  # not made yet, or nothing of it is left

    def close(self) -> None:
        """Let go of the process; a second time does nothing."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self._pidfd = -1

    def _signal_group(self, number: int) -> None:
        if self._pidfd >= 0:
            try:
                signal.pidfd_send_signal(self._pidfd, number, None, _PIDFD_SIGNAL_PROCESS_GROUP)
            except ProcessLookupError:
                raise
            except OSError:
                pass  # an older kernel
            else:
                return
        if self._is_child():
            os.killpg(self.pid, number)  # the number is taken until it is reaped
        else:
            orphans.signal_group(self.pid, self._mark, number)

    def _is_child(self) -> bool:
        """Tell whether the process has not been reaped."""
        try:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True
