"""Which processes are a load test's."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from goloagent.sandbox.process_tree import Process, descendants, find, process

# A process's line, as Linux 6.1 wrote it, shortened behind its session.
STAT = "8212 (sh) S 8211 8212 8212 0 -1 4194304 120 0 0 0"


def test_process() -> None:
    """Number, parent and session stand behind the name; one not waited for has ended."""
    assert process(STAT) == Process(8212, 8211, 8212, ended=False)
    assert process(STAT.replace(" S ", " Z ")).ended


@given(st.text(max_size=16))
def test_any_name(name: str) -> None:
    """A program may be called by parentheses and numbers."""
    assert process(STAT.replace("sh", name)) == process(STAT)


def one(pid: int, parent: int, session: int, ended: bool = False) -> Process:
    """Make a process."""
    return Process(pid, parent, session, ended)


LOADTEST = one(10, 2, 10)
AGENT = one(2, 1, 2)
INIT = one(1, 0, 1)


def test_descent() -> None:
    """Children's children belong to it, in whatever sessions; its parents and siblings do not."""
    child, grandchild, sibling = one(11, 10, 11), one(12, 11, 12), one(13, 2, 2)
    assert descendants([grandchild, child, LOADTEST, AGENT, INIT, sibling], 10, set()) == {
        10,
        11,
        12,
    }


def test_session() -> None:
    """An orphan of its session belongs to it, with its children, and when the leader is gone."""
    orphan, child, other = one(11, 1, 10), one(12, 11, 12), one(13, 1, 13)
    assert descendants([INIT, orphan, child, other], 10, set()) == {11, 12}


def test_mark() -> None:
    """A daemon that bears its mark belongs to it, with its children."""
    daemon, child, other = one(11, 1, 11), one(12, 11, 12), one(13, 1, 13)
    assert descendants([INIT, LOADTEST, daemon, child, other], 10, {11}) == {10, 11, 12}


def test_the_ended_hold_nothing() -> None:
    """One that has ended is nowhere to be looked into, but what it left belongs to it."""
    ended, child = one(11, 10, 11, ended=True), one(12, 11, 12)
    assert descendants([LOADTEST, ended, child], 10, set()) == {10, 12}


def test_numbers_in_a_circle() -> None:
    """Lines read at different times may contradict each other, and still it comes to an end."""
    assert descendants([one(11, 12, 10), one(12, 11, 12)], 10, set()) == {11, 12}


def test_find(tmp_path: Path) -> None:
    """Processes are read one by one, and one that ends meanwhile is passed over."""
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
