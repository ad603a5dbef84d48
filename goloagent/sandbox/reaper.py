"""Waits for orphans of load tests that have become children of the agent, and would be zombies.

They do if the agent is process 1 of a container, or the subreaper of its descendants (`orphans`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container
from contextlib import suppress

import attrs
from twisted.internet import process

from goloagent.sandbox import proc_stat

REAP_SECONDS = 0.1


def _own_children() -> Container[int]:
    """Return the processes that the reactor has started and waits for."""
    return process.reapProcessHandlers


@attrs.frozen
class Reaper:
    """Waits for the ended children of this process that the reactor has not started.

    After the start, only the reactor's thread may start processes.
    """

    own_children: Callable[[], Container[int]] = _own_children

    def reap(self) -> int:
        """Reap the zombies among the adopted children; return their number."""
        own, reaped = self.own_children(), 0
        if _has_ended_child():
            for child in proc_stat.processes():
                if child.has_ended and child.parent == os.getpid() and child.pid not in own:
                    with suppress(ChildProcessError):
                        reaped += os.waitpid(child.pid, os.WNOHANG) != (0, 0)
        return reaped


def _has_ended_child() -> bool:
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # there are no children
        return False
