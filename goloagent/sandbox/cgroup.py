"""A cgroup (version 2) for each load test: what it starts stays in it, whatever becomes of it.

Finds, ends and removes cgroups; one is made by making a directory below the agent's own, which
must have been delegated to it (systemd: ``Delegate=yes``).
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

END_SECONDS = 2.0
_AGAIN_MILLISECONDS = 100


def find_cgroup(memberships: str, mounts: str) -> Path | None:
    """Return the directory of the cgroup that a process is in, or None.

    Args:
        memberships: its /proc/<pid>/cgroup (cgroups(7)).
        mounts: its /proc/<pid>/mountinfo (proc(5)).
    """
    for membership in _lines(memberships):
        hierarchy, _, cgroup = membership.split(":", 2)
        if hierarchy != "0" or ".." in Path(cgroup).parts:  # version 1; above what is to be seen
            continue
        for mount in _lines(mounts):
            of_mount, _, of_system = mount.partition(" - ")
            root, point = of_mount.split(" ")[3:5]
            if of_system.split(" ")[0] == "cgroup2" and Path(cgroup).is_relative_to(root):
                return Path(point) / Path(cgroup).relative_to(root)
    return None


def current_cgroup() -> Path | None:
    """Return the directory of the cgroup that this process is in, or None."""
    proc = Path("/proc/self")
    try:
        return find_cgroup(_text(proc / "cgroup"), _text(proc / "mountinfo"))
    except OSError:
        return None  # a kernel without cgroups


def with_pids(proc: Path) -> Iterator[Path]:
    """Give the cgroups of the process at `proc` that may limit its tasks, the innermost first.

    In either version: a system of version 2 may have the controller of version 1.
    """
    try:
        memberships = _lines(_text(proc / "cgroup"))
        mounts = _lines(_text(proc / "mountinfo"))
    except OSError:
        return  # a kernel without cgroups
    for membership in memberships:
        hierarchy, controllers, cgroup = membership.split(":", 2)
        if hierarchy != "0" and "pids" not in controllers.split(","):
            continue
        for mount in mounts:
            of_mount, _, of_system = mount.partition(" - ")
            root, point = of_mount.split(" ")[3:5]
            system, _, options = of_system.split(" ", 2)
            version_2 = hierarchy == "0" and system == "cgroup2"
            version_1 = hierarchy != "0" and system == "cgroup" and "pids" in options.split(",")
            if (version_1 or version_2) and Path(cgroup).is_relative_to(root):
                inner = Path(point) / Path(cgroup).relative_to(root)
                yield from (path for path in (inner, *inner.parents) if path.is_relative_to(point))


def limit_tasks(directory: Path, count: int) -> None:
    """Let no more than so many tasks be in a cgroup, where its parent has the controller.

    A controller of tasks may be given on also by a cgroup that has processes (cgroups(7)).
    """
    with suppress(OSError):
        _write(directory.parent / "cgroup.subtree_control", b"+pids")
    with suppress(OSError):
        _write(directory / "pids.max", b"%d" % count)


def processes(directory: Path) -> Path:
    """Return the file of a cgroup that takes its processes, and lists them."""
    return directory / "cgroup.procs"


def kill(directory: Path) -> None:
    """Kill everything in a cgroup and the cgroups in it; what cannot be killed is left."""
    try:
        _write(directory / "cgroup.kill", b"1")  # Linux 5.14
    except OSError:
        for cgroup in _tree(directory):
            _kill_each(cgroup)


def remove(directory: Path, seconds: float = END_SECONDS) -> None:
    """Kill what is left in a cgroup and remove it; one that is gone is removed.

    Takes its time: call it off the reactor thread.

    Raises:
        OSError: it cannot be, also because of processes that are left after so long.
    """
    deadline = time.monotonic() + seconds
    with suppress(FileNotFoundError), (directory / "cgroup.events").open() as events:
        changes = select.poll()
        changes.register(events, select.POLLPRI)  # cgroups(7): when the file has changed
        while "populated 1" in events.read() and time.monotonic() < deadline:
            kill(directory)  # and again: without cgroup.kill what came by a fork meanwhile is left
            changes.poll(_AGAIN_MILLISECONDS)
            events.seek(0)
    for cgroup in _tree(directory):
        cgroup.rmdir()


def _text(path: Path) -> str:
    """Read a file of /proc, in which names may have any byte."""
    return os.fsdecode(path.read_bytes())


def _lines(text: str) -> list[str]:
    # Of all that Python takes for the end of a line, the kernel escapes this alone in a name.
    return [line for line in text.split("\n") if line]


def _tree(directory: Path) -> Iterator[Path]:
    """Give a cgroup and those in it, the innermost first."""
    return (Path(path) for path, _, _ in os.walk(directory, topdown=False))


def _kill_each(directory: Path) -> None:
    with suppress(OSError):
        for line in processes(directory).read_text().split():
            if line != "0":  # one that this PID namespace does not show; to kill 0 is to kill us
                with suppress(OSError):
                    os.kill(int(line), signal.SIGKILL)


def _write(path: Path, data: bytes) -> None:
    """Write to a file that is there: in a cgroup none can be made."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
