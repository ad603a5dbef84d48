"""Reaps orphans, which become children of the agent.

A load test may leave daemons behind. The agent is process 1 of a container, or the subreaper of its
descendants: each is its child once the parent has ended, and stays a zombie after its own end until
the agent waits for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from pathlib import Path

import attrs
from twisted.internet import process

REAP_SECONDS = 0.1
_PROC = Path("/proc")


def _own_children() -> Container[int]:
    """Return the processes that the reactor has started, and waits for."""
    return process.reapProcessHandlers


@attrs.frozen
class Reaper:
    """Waits for the children of this process that the reactor has not started.

    Nobody else may start any but during the start, in the reactor's own thread.
    """

    own_children: Callable[[], Container[int]] = _own_children

    def reap(self) -> int:
        """Reap every zombie that nobody else waits for; return how many."""
        own, reaped = self.own_children(), 0
        if _any_has_ended():
            for pid in _zombies(os.getpid()):
                if pid not in own:
                    with suppress(ChildProcessError):
                        reaped += os.waitpid(pid, os.WNOHANG) != (0, 0)
        return reaped


def _any_has_ended() -> bool:
    """Tell whether a child has ended and was not waited for, without waiting for it."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # there are none
        return False


def _zombies(parent: int) -> Iterator[int]:
    """Find the children of a process that have ended and were not waited for."""
    for entry in _PROC.iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            # The name, in brackets, may have any byte.
            stat = (entry / "stat").read_text(errors="replace")
        except OSError:
            continue
        state, parent_pid, *_ = stat.rpartition(")")[2].split()
        if state == "Z" and int(parent_pid) == parent:
            yield int(entry.name)
