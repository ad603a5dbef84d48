"""What is left to a load test when some paths are closed to it: all that is beside them.

Landlock knows grants and no exceptions from them, so whatever lies beside the way to a closed path
is granted, from the root on. Decides by what it is told of directories and mounts; the two that
look at the disk are at the end. Imports nothing of the agent.
"""

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from posixpath import basename, dirname, join, normpath, realpath, relpath


def complement(closed: Collection[str], entries: Callable[[str], Iterable[str]]) -> Iterator[str]:
    """Give each path that neither leads to a closed one nor is one, and has no parent like it.

    Args:
        closed: real paths.
        entries: returns the names in a directory.
    """
    outer = {path for path in closed if not any(above in closed for above in _above(path))}
    on_the_way = {above for path in outer for above in _above(path)}
    for directory in sorted(on_the_way):
        for name in entries(directory):
            path = join(directory, name)
            if path not in on_the_way and path not in outer:
                yield path


def mount_aliases(path: str, mountinfo: str) -> Iterator[str]:
    """Give every path where mounts show what is at `path`, or a part of it; `path` is one.

    Args:
        path: a real path.
        mountinfo: a /proc/<pid>/mountinfo (proc(5)).
    """
    # Of all that Python takes for the end of a line, the kernel escapes this alone in a name.
    mounts = [_mount(line) for line in mountinfo.split("\n") if line]
    shown = [mount for mount in mounts if _is_below(path, mount[2])]
    if not shown:
        yield path
        return
    # Of those at one point the last covers the others.
    device, root, point = max(reversed(shown), key=lambda mount: len(mount[2]))
    on_device = normpath(join(root, relpath(path, point)))
    for other_device, other_root, other_point in mounts:
        if other_device != device:
            continue
        if _is_below(on_device, other_root):
            yield normpath(join(other_point, relpath(on_device, other_root)))
        elif _is_below(other_root, on_device):
            yield other_point


def resolve_links(path: str) -> Iterator[str]:
    """Give the real path of `path`, and those of the links on the way to it.

    Whoever may replace a link says what the agent's own path is.
    """
    for step in (*reversed(list(_above(path))), path):
        if os.path.islink(step):  # noqa: PTH114
            link = join(realpath(dirname(step)), basename(step))
            yield link
            rest = path[len(step) :].lstrip("/")
            yield from resolve_links(join(dirname(link), os.readlink(link), rest))  # noqa: PTH115
            return
    yield realpath(path)


def allowed_paths(closed: Iterable[str]) -> Iterator[str]:
    """Give all that is to be granted when `closed`, absolute paths, are not to be reached.

    A directory that may not be listed has nothing to give.
    """
    with open("/proc/self/mountinfo", "rb") as file:  # noqa: PTH123
        mountinfo = os.fsdecode(file.read())
    real = {where for path in closed for where in resolve_links(path)}
    return complement(
        {shown for path in real for shown in mount_aliases(path, mountinfo)}, _entries
    )


def _above(path: str) -> Iterator[str]:
    """Give the directories above a path, the nearest first."""
    while path != dirname(path):
        path = dirname(path)
        yield path


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(join(directory, ""))


def _mount(line: str) -> tuple[str, str, str]:
    """Return the device of a mount, which of its directories is mounted, and where."""
    _, _, device, root, point = line.split(" ")[:5]
    return device, _plain(root), _plain(point)


def _plain(text: str) -> str:
    r"""Undo the kernel's writing of white space and backslashes, such as ``\040``."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _entries(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            # A link is followed to where it leads, and has no rights of its own.
            return [entry.name for entry in entries if not entry.is_symlink()]
    except OSError:
        return []
