"""The processes of a running load test: by descent, by session, and by their mark.

Each covers what the others miss: a child with an environment of its own has its parent, an orphan
its session, and a daemon its mark. In a PID namespace descent covers all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from contextlib import suppress
from pathlib import Path

import attrs

from goloagent.sandbox.orphans import has_tag

_ENDED = "ZX"  # proc(5): zombie, dead


@attrs.frozen
class Process:
    """What is known of one process; `ended` ones are not waited for yet."""

    pid: int
    parent: int
    session: int
    ended: bool


def process(stat: str) -> Process:
    """Read a /proc/<pid>/stat (proc(5)); the program's name in it may be any text."""
    before, _, after = stat.rpartition(")")
    state, parent, _, session = after.split()[:4]
    return Process(int(before.split()[0]), int(parent), int(session), state in _ENDED)


def descendants(processes: Iterable[Process], leader: int, marked: Set[int]) -> set[int]:
    """Return which live `processes` belong to the load test that `leader` began."""
    everyone = list(processes)
    children: dict[int, list[Process]] = {}
    for one in everyone:
        children.setdefault(one.parent, []).append(one)
    found: dict[int, Process] = {}
    unseen = [one for one in everyone if leader in (one.pid, one.session) or one.pid in marked]
    while unseen:
        one = unseen.pop()
        if one.pid not in found:
            found[one.pid] = one
            unseen += children.get(one.pid, [])
    return {one.pid for one in found.values() if not one.ended}


def find(leader: int, mark: str, proc: Path) -> set[int]:
    """Look in `proc` for the load test that `leader` began and whose processes bear `mark`."""
    return descendants(_processes(proc), leader, set(_marked(proc, mark)))


def _entries(proc: Path) -> Iterator[Path]:
    return (entry for entry in proc.iterdir() if entry.name.isdecimal())


def _processes(proc: Path) -> Iterator[Process]:
    for entry in _entries(proc):
        with suppress(OSError):  # it has ended
            yield process((entry / "stat").read_text(errors="replace"))


def _marked(proc: Path, mark: str) -> Iterator[int]:
    for entry in _entries(proc):
        with suppress(OSError):  # it has ended, or belongs to somebody whom we may not look at
            if has_tag((entry / "environ").read_bytes(), mark):
                yield int(entry.name)
