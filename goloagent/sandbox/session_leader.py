"""Signals to the first process of a load test, which leads its session and process group."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from goloagent.sandbox import orphans

_PIDFD_SIGNAL_PROCESS_GROUP = 1 << 2  # linux/pidfd.h, since Linux 6.9


class SessionLeader:
    """The process `pid`, a child that is not reaped yet, and its group, whose members have `tag`.

    It has a pidfd, so that no signal reaches another process that got the same number later.
    """

    def __init__(self, pid: int, tag: str) -> None:
        self.pid = pid
        self._tag = tag
        self._pidfd = -1
        with suppress(OSError):  # without a free descriptor, it is signalled by number
            self._pidfd = os.pidfd_open(pid)

    def signal(self, number: int) -> None:
        """Signal the process, unless it has been reaped."""
        with suppress(ProcessLookupError):
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, number)
            elif self._is_child():
                os.kill(self.pid, number)

    def signal_group(self, number: int) -> None:
        """Signal the group, or the process alone before it has created the group."""
        try:
            self._signal_group(number)
        except ProcessLookupError:
            self.signal(number)  # no group yet, or none any more

    def close(self) -> None:
        """Close the pidfd; idempotent."""
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
            os.killpg(self.pid, number)  # its number is not reused before it is reaped
        else:
            orphans.signal_group(self.pid, self._tag, number)

    def _is_child(self) -> bool:
        """Return whether the process has not been reaped."""
        try:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True
