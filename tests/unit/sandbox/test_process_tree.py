"""Which processes belong to a load test."""

from __future__ import annotations

from pathlib import Path

import pytest

from goloagent.sandbox.proc_stat import Process
from goloagent.sandbox.process_tree import descendants, find


def process(pid: int, parent: int, session: int, has_ended: bool = False) -> Process:
    """Return a process."""
    return Process(pid, parent, session, has_ended)


INIT, AGENT, LEADER = process(1, 0, 1), process(2, 1, 2), process(10, 2, 10)


@pytest.mark.parametrize(
    ("processes", "tagged", "expected"),
    [
        # Children's children, in any session; not its parents and siblings.
        (
            [process(12, 11, 12), process(11, 10, 11), LEADER, AGENT, INIT, process(13, 2, 2)],
            set(),
            {10, 11, 12},
        ),
        # An orphan of its session and its child, without the leader.
        ([INIT, process(11, 1, 10), process(12, 11, 12), process(13, 1, 13)], set(), {11, 12}),
        # A tagged daemon and its child.
        (
            [INIT, LEADER, process(11, 1, 11), process(12, 11, 12), process(13, 1, 13)],
            {11},
            {10, 11, 12},
        ),
        # A zombie does not belong to it, but its children do.
        ([LEADER, process(11, 10, 11, has_ended=True), process(12, 11, 12)], set(), {10, 12}),
        # Lines read at different times may form a cycle.
        ([process(11, 12, 10), process(12, 11, 12)], set(), {11, 12}),
    ],
    ids=["descent", "session", "tag", "zombie", "cycle"],
)
def test_descendants(processes: list[Process], tagged: set[int], expected: set[int]) -> None:
    """Descent, session and tag each add processes, with their descendants."""
    assert descendants(processes, 10, tagged) == expected


def test_find(tmp_path: Path) -> None:
    """A process that ends during the search is skipped."""
    for pid, parent, environ in (
        (8212, 8211, b"GOLO_JOB=1-2/job\0"),
        (9000, 1, b"A=B\0GOLO_JOB=1-2/job\0"),
        (9001, 1, b"GOLO_JOB=1-2/another\0"),
    ):
        entry = tmp_path / str(pid)
        entry.mkdir()
        (entry / "stat").write_text(f"{pid} (sh) S {parent} {pid} {pid} 0 -1")
        (entry / "environ").write_bytes(environ)
    (tmp_path / "9002").mkdir()
    (tmp_path / "meminfo").write_text("")
    assert find(8212, "1-2/job", tmp_path) == {8212, 9000}
