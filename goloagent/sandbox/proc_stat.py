"""The processes of a machine, as /proc/<pid>/stat describes them (proc(5))."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import attrs

PROC = Path("/proc")
_ENDED = "ZX"  # zombie, dead


@attrs.frozen
class Process:
    """A process; one that has ended is a zombie until its parent waits for it."""

    pid: int
    parent: int
    session: int
    has_ended: bool


def parse(stat: str) -> Process:
    """Parse a stat file; the program's name in it, in brackets, may be any text."""
    before, _, after = stat.rpartition(")")
    state, parent, _, session = after.split()[:4]
    return Process(int(before.split()[0]), int(parent), int(session), state in _ENDED)


def read(entry: Path) -> Process | None:
    """Return the process of a directory of /proc, or None if there is none any more."""
    with suppress(OSError, ValueError):
        return parse((entry / "stat").read_text(errors="replace"))
    return None


def entries(proc: Path = PROC) -> Iterator[Path]:
    """Yield the directories of all processes."""
    return (entry for entry in proc.iterdir() if entry.name.isdecimal())


def processes(proc: Path = PROC) -> Iterator[Process]:
    """Yield all processes; one that ends meanwhile may be missing."""
    return filter(None, map(read, entries(proc)))
