"""Processes that outlive their job: how they are found, and killed.

The environment of every load test has the variable `VARIABLE`, its tag, and all that it starts
inherits it, also after a double fork or in another session. A process that replaced its environment
is found as an orphan: if the agent is a subreaper, it becomes the agent's child.
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

from goloagent.sandbox import proc_stat

VARIABLE = "GOLO_JOB"
KILL_SECONDS = 2.0
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h

_libc = ctypes.CDLL(None, use_errno=True)


def env_tag(state_dir: Path, job_id: str = "") -> str:
    """Return the tag of a job; without an ID, the common prefix of all tags of `state_dir`.

    The directory is identified by its inode, because another root may have one of the same name.
    """
    status = state_dir.stat()
    return f"{status.st_dev:x}-{status.st_ino:x}/{job_id}"


def has_tag(environ: bytes, tag: str) -> bool:
    """Return whether an environment, as /proc shows it, has a tag that starts with `tag`."""
    wanted = f"{VARIABLE}={tag}".encode()
    return any(variable.startswith(wanted) for variable in environ.split(b"\0"))


def is_tagged(entry: Path, tag: str) -> bool:
    """Return whether the process of a directory of /proc has the tag, as far as it is readable."""
    try:
        return has_tag((entry / "environ").read_bytes(), tag)
    except OSError:
        return False  # it has ended, or is another user's


def adopt_orphans() -> None:
    """Make this process the subreaper: its orphaned descendants become its own children.

    Raises:
        OSError: the system does not allow it.
    """
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def has_children() -> bool:
    """Return whether this process has any child."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def kill_tagged(
    tag: str, seconds: float = KILL_SECONDS, own_children: Container[int] | None = None
) -> tuple[int, int]:
    """Kill the processes with `tag`, and those that they start meanwhile, until none is left.

    If `own_children` is given, the processes that this one has started itself, all its other
    children are adopted orphans and are killed too.

    Returns the number killed, and the number left if the time was too short.
    """
    deadline = time.monotonic() + seconds
    killed: set[int] = set()
    while True:
        with ExitStack() as closing:
            found = dict(_find(tag, closing, own_children))
            if not found or time.monotonic() > deadline:
                return len(killed), len(found)
            for pid, pidfd in found.items():
                # A process that may not be signalled counts as left.
                with suppress(ProcessLookupError, PermissionError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                killed.add(pid)
            _wait(list(found.values()), deadline)


def signal_group(group: int, tag: str, number: int) -> None:
    """Signal the processes of a group that have `tag`, because its number may be reused."""
    with ExitStack() as closing:
        for pid, pidfd in _find(tag, closing):
            with suppress(ProcessLookupError, PermissionError):
                if os.getpgid(pid) == group:
                    signal.pidfd_send_signal(pidfd, number)


def _find(
    tag: str, closing: ExitStack, own_children: Container[int] | None = None
) -> Iterator[tuple[int, int]]:
    """Yield tagged processes, and adopted orphans, each with a pidfd that `closing` closes."""

    def matches(entry: Path) -> bool:
        return is_tagged(entry, tag) or (
            own_children is not None
            and int(entry.name) not in own_children
            and _is_running_child(entry)
        )

    for entry in proc_stat.entries():
        pid = int(entry.name)
        if pid == os.getpid() or not matches(entry):
            continue
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        closing.callback(os.close, pidfd)
        # Checked again: before the pidfd was opened, the number may have been reused.
        if matches(entry):
            yield pid, pidfd


def _is_running_child(entry: Path) -> bool:
    process = proc_stat.read(entry)
    return process is not None and process.parent == os.getpid() and not process.has_ended


def _wait(pidfds: list[int], deadline: float) -> None:
    """Wait until every process has ended, or until the deadline."""
    poll = select.poll()
    for pidfd in pidfds:
        poll.register(pidfd, select.POLLIN)
    running = len(pidfds)
    while running:
        ended = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        if not ended:
            return
        for pidfd, _ in ended:
            poll.unregister(pidfd)
        running -= len(ended)
