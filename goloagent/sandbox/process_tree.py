"""The processes of a running load test: by descent, by session, and by their tag.

Each finds what the others miss: a child with an environment of its own by its parent, an orphan by
its session, and a daemon by its tag. In a PID namespace descent finds all.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from pathlib import Path

from goloagent.sandbox import orphans, proc_stat
from goloagent.sandbox.proc_stat import Process


def descendants(processes: Iterable[Process], leader: int, tagged: Set[int]) -> set[int]:
    """Return the running processes of the load test of `leader`, itself included."""
    everything = list(processes)
    children: dict[int, list[Process]] = {}
    for process in everything:
        children.setdefault(process.parent, []).append(process)
    found: dict[int, Process] = {}
    pending = [
        process
        for process in everything
        if leader in (process.pid, process.session) or process.pid in tagged
    ]
    while pending:
        process = pending.pop()
        if process.pid not in found:
            found[process.pid] = process
            pending += children.get(process.pid, [])
    return {process.pid for process in found.values() if not process.has_ended}


def find(leader: int, tag: str, proc: Path) -> set[int]:
    """Return the processes in `proc` of the load test of `leader` and `tag`."""
    tagged = {int(entry.name) for entry in proc_stat.entries(proc) if orphans.is_tagged(entry, tag)}
    return descendants(proc_stat.processes(proc), leader, tagged)
