"""Processes that outlived their job, known by a mark in their environment, and their end.

Every load test is started with the variable `VARIABLE`, and all that it starts inherits it: over a
double fork, in a session of its own, as a child of init. Only a process that was given another
environment is not found. A process is held by a pidfd while it is looked at and killed, so that a
number that has gone to somebody else is never hit.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

VARIABLE = "GOLO_JOB"
END_SECONDS = 2.0
_PROC = Path("/proc")


def mark_of(state: Path, job_id: str = "") -> str:
    """Return what marks the processes of a job; without one, what all marks of `state` begin with.

    The state directory is meant, not its name, which another agent may use in another root.
    """
    status = state.stat()
    return f"{status.st_dev:x}-{status.st_ino:x}/{job_id}"


def bears(environ: bytes, mark: str) -> bool:
    """Tell whether an environment, as /proc has it, bears a mark that begins with `mark`."""
    wanted = f"{VARIABLE}={mark}".encode()
    return any(variable.startswith(wanted) for variable in environ.split(b"\0"))


def end(mark: str, seconds: float = END_SECONDS) -> tuple[int, int]:
    """Kill the processes that bear `mark`, and those they start meanwhile, until there is none.

    Returns how many were killed and how many are left, which is none unless the time was too short.
    """
    deadline = time.monotonic() + seconds
    killed: set[int] = set()
    while True:
        with ExitStack() as closing:
            held = dict(_held(mark, closing))
            if not held or time.monotonic() > deadline:
                return len(killed), len(held)
            for pid, process in held.items():
                _kill(process)
                killed.add(pid)
            _wait(list(held.values()), deadline)


def signal_group(group: int, mark: str, number: int) -> None:
    """Signal the processes of a group that bear `mark`: the group may be another's by now."""
    with ExitStack() as closing:
        for pid, process in _held(mark, closing):
            with suppress(ProcessLookupError, PermissionError):
                if os.getpgid(pid) == group:
                    signal.pidfd_send_signal(process, number)


def _held(mark: str, closing: ExitStack) -> Iterator[tuple[int, int]]:
    """Find processes that bear `mark`; each comes with a pidfd that `closing` closes."""
    for entry in _PROC.iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        if not _bears(entry, mark):
            continue
        try:
            process = os.pidfd_open(int(entry.name))
        except ProcessLookupError:
            continue
        closing.callback(os.close, process)
        # What is held now may be another process than the one that was read.
        if _bears(entry, mark):
            yield int(entry.name), process


def _bears(entry: Path, mark: str) -> bool:
    try:
        return bears((entry / "environ").read_bytes(), mark)
    except OSError:
        return False  # it has ended, or belongs to somebody whom we may not look at or signal


def _kill(process: int) -> None:
    # What may not be signalled counts as left.
    with suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(process, signal.SIGKILL)


def _wait(processes: list[int], deadline: float) -> None:
    """Wait until every process has ended, or the time is over."""
    poll = select.poll()
    for process in processes:
        poll.register(process, select.POLLIN)
    waiting = len(processes)
    while waiting:
        ended = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        if not ended:
            return
        for process, _ in ended:
            poll.unregister(process)
        waiting -= len(ended)
