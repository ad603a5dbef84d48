"""Reaps orphans while the agent is process 1 of a container, whose children they become.

A load test may leave daemons behind; each is a child of process 1 once its parent has ended, and
stays a zombie after its own end until process 1 waits for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from pathlib import Path

import attrs
from twisted.internet import process

REAP_SECONDS = 1.0
_PROC = Path("/proc")


def _own_children() -> Container[int]:
    """Return the processes that the reactor has started, and waits for."""
    return process.reapProcessHandlers


@attrs.define
class Reaper:
    """Waits for zombies among the children of this process that nobody else waits for.

    A zombie is left alone until a second look, because whoever has started a process waits for it
    at once.
    """

    own_children: Callable[[], Container[int]] = _own_children
    _seen: set[int] = attrs.field(init=False, factory=set)

    def reap(self) -> int:
        """Reap what was a zombie at the last call already; return how many."""
        zombies = {pid for pid in _zombies(os.getpid()) if pid not in self.own_children()}
        reaped = 0
        for pid in zombies & self._seen:
            with suppress(ChildProcessError):
                reaped += os.waitpid(pid, os.WNOHANG) != (0, 0)
        self._seen = zombies
        return reaped


def _zombies(parent: int) -> Iterator[int]:
    """Find the children of a process that have ended and were not waited for."""
    for entry in _PROC.iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            # The name, in brackets, may have any character.
            state, parent_pid, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if state == "Z" and int(parent_pid) == parent:
            yield int(entry.name)
