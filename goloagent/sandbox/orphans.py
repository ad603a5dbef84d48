"""Processes that outlived their job, known by a mark in their environment, and their end.

Every load test is started with the variable `VARIABLE`, and all that it starts inherits it: over a
double fork, in a session of its own, as a child of init. A process that was given another
environment is found as an orphan: the agent is the subreaper of its descendants, so it becomes the
agent's child. A process is held by a pidfd while it is looked at and killed, so that a
number that has gone to somebody else is never hit.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import time
from collections.abc import Container, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

VARIABLE = "GOLO_JOB"
END_SECONDS = 2.0
_PROC = Path("/proc")
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h

_libc = ctypes.CDLL(None, use_errno=True)


def env_tag(state: Path, job_id: str = "") -> str:
    """Return what marks the processes of a job; without one, what all marks of `state` begin with.

    The state directory is meant, not its name, which another agent may use in another root.
    """
    status = state.stat()
    return f"{status.st_dev:x}-{status.st_ino:x}/{job_id}"


def has_tag(environ: bytes, mark: str) -> bool:
    """Tell whether an environment, as /proc has it, bears a mark that begins with `mark`."""
    wanted = f"{VARIABLE}={mark}".encode()
    return any(variable.startswith(wanted) for variable in environ.split(b"\0"))


def adopt_orphans() -> None:
    """Have descendants of this process whose parents end become its children, not those of init.

    Raises:
        OSError: the system does not allow it.
    """
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def has_children() -> bool:
    """Tell whether this process has any child."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def kill_tagged(
    mark: str, seconds: float = END_SECONDS, own_children: Container[int] | None = None
) -> tuple[int, int]:
    """Kill the processes that bear `mark`, and those they start meanwhile, until there is none.

    With `own_children`, those that this process has started itself, its other children are orphans
    that it has adopted, and are killed as well.

    Returns how many were killed and how many are left, which is none unless the time was too short.
    """
    deadline = time.monotonic() + seconds
    killed: set[int] = set()
    while True:
        with ExitStack() as closing:
            held = dict(_held(mark, closing, own_children))
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


def _held(
    mark: str, closing: ExitStack, own_children: Container[int] | None = None
) -> Iterator[tuple[int, int]]:
    """Find processes that bear `mark`, and orphans: each with a pidfd that `closing` closes."""

    def is_meant(entry: Path) -> bool:
        return _bears(entry, mark) or (
            own_children is not None
            and int(entry.name) not in own_children
            and _is_live_child(entry)
        )

    for entry in _PROC.iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        if not is_meant(entry):
            continue
        try:
            process = os.pidfd_open(int(entry.name))
        except ProcessLookupError:
            continue
        closing.callback(os.close, process)
        # What is held now may be another process than the one that was read.
        if is_meant(entry):
            yield int(entry.name), process


def _bears(entry: Path, mark: str) -> bool:
    try:
        return has_tag((entry / "environ").read_bytes(), mark)
    except OSError:
        return False  # it has ended, or belongs to somebody whom we may not look at or signal


def _is_live_child(entry: Path) -> bool:
    try:
        # The name, in brackets, may have any character.
        state, parent, *_ = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except (OSError, ValueError):
        return False
    return int(parent) == os.getpid() and state not in "ZX"


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
