"""Cgroups of version 2 (cgroups(7)): how they are found, limited, killed and removed.

A process cannot leave its cgroup, which is why each load test gets one if the agent's own is
delegated to it (systemd: ``Delegate=yes``, as in the unit that is shipped).
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

REMOVE_SECONDS = 2.0
_RETRY_MILLISECONDS = 100


def find_cgroup(memberships: str, mounts: str) -> Path | None:
    """Return the directory of the cgroup of a process in version 2, or None.

    Args:
        memberships: its /proc/<pid>/cgroup (cgroups(7)).
        mounts: its /proc/<pid>/mountinfo (proc(5)).
    """
    found = _directories(memberships, mounts)
    return next((directory for is_v2, directory, _ in found if is_v2), None)


def current_cgroup() -> Path | None:
    """Return the directory of the cgroup of this process, or None."""
    try:
        return find_cgroup(*_read_proc(Path("/proc/self")))
    except OSError:
        return None  # a kernel without cgroups


def limiting_cgroups(proc: Path) -> Iterator[Path]:
    """Yield the cgroups that may limit the tasks of the process at `proc`, the innermost first.

    They are of either version: a system with version 2 may have the controller in version 1.
    """
    try:
        files = _read_proc(proc)
    except OSError:
        return  # a kernel without cgroups
    for _, directory, point in _directories(*files):
        yield from (path for path in (directory, *directory.parents) if path.is_relative_to(point))


def _directories(memberships: str, mounts: str) -> Iterator[tuple[bool, Path, Path]]:
    """Yield each cgroup of version 2 or with the controller of tasks, and where it is mounted."""
    for membership in _lines(memberships):
        hierarchy, controllers, name = membership.split(":", 2)
        is_v2, cgroup = hierarchy == "0", Path(name)
        has_pids = "pids" in controllers.split(",")
        if not (is_v2 or has_pids) or ".." in cgroup.parts:  # outside of the cgroup namespace
            continue
        for mount in _lines(mounts):
            of_mount, _, of_system = mount.partition(" - ")
            root, point = of_mount.split(" ")[3:5]
            system, _, options = of_system.split(" ", 2)
            is_v1 = system == "cgroup" and "pids" in options.split(",")
            if (system == "cgroup2" if is_v2 else is_v1) and cgroup.is_relative_to(root):
                yield is_v2, Path(point) / cgroup.relative_to(root), Path(point)


def limit_tasks(directory: Path, count: int) -> None:
    """Limit the number of tasks in a cgroup, if its parent has the controller.

    The parent may delegate this controller although it has processes itself.
    """
    with suppress(OSError):
        _write(directory.parent / "cgroup.subtree_control", b"+pids")
    with suppress(OSError):
        _write(directory / "pids.max", b"%d" % count)


def procs_file(directory: Path) -> Path:
    """Return the file of a cgroup that lists its processes; one joins by writing to it."""
    return directory / "cgroup.procs"


def kill(directory: Path) -> None:
    """Kill the processes in a cgroup and its descendants, as far as that is permitted."""
    try:
        _write(directory / "cgroup.kill", b"1")  # Linux 5.14
    except OSError:
        for cgroup in _tree(directory):
            _kill_each(cgroup)


def remove(directory: Path, seconds: float = REMOVE_SECONDS) -> None:
    """Kill the processes in a cgroup and remove it; idempotent.

    Blocks for up to `seconds`.

    Raises:
        OSError: it cannot be removed, also because processes are left after `seconds`.
    """
    deadline = time.monotonic() + seconds
    with suppress(FileNotFoundError), (directory / "cgroup.events").open() as events:
        changes = select.poll()
        changes.register(events, select.POLLPRI)  # cgroups(7): when the file has changed
        while "populated 1" in events.read() and time.monotonic() < deadline:
            kill(directory)  # repeated, because without cgroup.kill a fork may escape
            changes.poll(_RETRY_MILLISECONDS)
            events.seek(0)
    for cgroup in _tree(directory):
        cgroup.rmdir()


def _read_proc(proc: Path) -> tuple[str, str]:
    """Read the cgroups and mounts of a process, whose names may have any byte."""
    cgroups, mounts = ((proc / name).read_bytes() for name in ("cgroup", "mountinfo"))
    return os.fsdecode(cgroups), os.fsdecode(mounts)


def _lines(text: str) -> list[str]:
    # Not `splitlines`: the kernel escapes no other line separator in a name.
    return [line for line in text.split("\n") if line]


def _tree(directory: Path) -> Iterator[Path]:
    """Yield a cgroup and its descendants, the innermost first."""
    return (Path(path) for path, _, _ in os.walk(directory, topdown=False))


def _kill_each(directory: Path) -> None:
    with suppress(OSError):
        for line in procs_file(directory).read_text().split():
            if line != "0":  # a process of another PID namespace; kill(0) would kill the agent
                with suppress(OSError):
                    os.kill(int(line), signal.SIGKILL)


def _write(path: Path, data: bytes) -> None:
    """Write to an existing file: in a cgroup none can be created."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
