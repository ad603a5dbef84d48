"""The paths to allow so that everything is accessible except the protected ones.

Landlock has no exceptions from what it allows, so each sibling of a protected path and of its
parents is allowed, from the root on. The launcher imports this module: it needs the standard
library only.
"""

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from posixpath import basename, dirname, join, normpath, realpath, relpath


def complement(
    protected: Collection[str], entries: Callable[[str], Iterable[str]]
) -> Iterator[str]:
    """Yield the topmost paths that are neither protected nor above a protected path.

    Args:
        protected: real paths.
        entries: returns the names in a directory.
    """
    outer = {path for path in protected if not any(above in protected for above in _above(path))}
    ancestors = {above for path in outer for above in _above(path)}
    for directory in sorted(ancestors):
        for name in entries(directory):
            path = join(directory, name)
            if path not in ancestors and path not in outer:
                yield path


def mount_aliases(path: str, mountinfo: str) -> Iterator[str]:
    """Yield every path at which a mount shows `path` or a part of it, itself included.

    Args:
        path: a real path.
        mountinfo: a /proc/<pid>/mountinfo (proc(5)).
    """
    # Not `splitlines`: the kernel escapes no other line separator in a name.
    mounts = [_mount(line) for line in mountinfo.split("\n") if line]
    shown = [mount for mount in mounts if _is_below(path, mount[2])]
    if not shown:
        yield path
        return
    # The last mount at a point covers the others.
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
    """Yield the real path of `path`, and those of all links in it, which must not be replaced."""
    for step in (*reversed(list(_above(path))), path):
        if os.path.islink(step):  # noqa: PTH114
            link = join(realpath(dirname(step)), basename(step))
            yield link
            rest = path[len(step) :].lstrip("/")
            yield from resolve_links(join(dirname(link), os.readlink(link), rest))  # noqa: PTH115
            return
    yield realpath(path)


def allowed_paths(protected: Iterable[str]) -> Iterator[str]:
    """Yield the paths to allow if all but `protected`, absolute paths, is accessible.

    Nothing is allowed in a directory on the way that cannot be listed.
    """
    with open("/proc/self/mountinfo", "rb") as file:  # noqa: PTH123
        mountinfo = os.fsdecode(file.read())
    real = {target for path in protected for target in resolve_links(path)}
    return complement(
        {shown for path in real for shown in mount_aliases(path, mountinfo)}, _entries
    )


def _above(path: str) -> Iterator[str]:
    """Yield the parents of a path, the nearest first."""
    while path != dirname(path):
        path = dirname(path)
        yield path


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(join(directory, ""))


def _mount(line: str) -> tuple[str, str, str]:
    """Return the device of a mount, the directory of it that is mounted, and the mount point."""
    _, _, device, root, point = line.split(" ")[:5]
    return device, _unescape(root), _unescape(point)


def _unescape(text: str) -> str:
    r"""Decode the kernel's escapes of white space and backslashes, such as ``\040``."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _entries(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            # Rights belong to a link's target.
            return [entry.name for entry in entries if not entry.is_symlink()]
    except OSError:
        return []
