"""Processes as /proc describes them, in a directory that models it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.sandbox import proc_stat, reaper
from goloagent.sandbox.proc_stat import Process, parse
from goloagent.sandbox.reaper import Reaper

# A line of Linux 6.1, cut after a few fields.
STAT = "8212 (sh) S 8211 8212 8212 0 -1 4194304 120 0 0 0"


def test_parse() -> None:
    """Process ID, parent, session and state are parsed; a zombie has ended."""
    assert parse(STAT) == Process(8212, 8211, 8212, has_ended=False)
    assert parse(STAT.replace(" S ", " Z ")).has_ended


@given(st.text(max_size=16))
def test_any_name(name: str) -> None:
    """The name of a program may contain brackets and numbers."""
    assert parse(STAT.replace("sh", name)) == parse(STAT)


def test_adopted_zombies_are_reaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zombies of any name are reaped if they are children that the agent has not started."""
    agent = os.getpid()
    stats = {
        1: b"1 (init) S 0 1 1",
        7: b"7 (\xff) Z 8) Z %d 7 7" % agent,
        8: b"8 (a b) Z %d 8 8" % agent,
        9: b"9 (another's) Z 7 9 9",
        10: b"10 (running) R %d 10 10" % agent,
        12: b"12 (own) Z %d 12 12" % agent,
    }
    for pid, stat in stats.items():
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_bytes(stat)
    (tmp_path / "11").mkdir()  # it has been reaped meanwhile
    (tmp_path / "self").mkdir()
    reaped: list[int] = []

    def waitpid(pid: int, options: int) -> tuple[int, int]:
        reaped.append(pid)
        return pid, 0

    processes = proc_stat.processes
    monkeypatch.setattr(proc_stat, "processes", lambda: processes(tmp_path))
    monkeypatch.setattr(reaper, "_has_ended_child", lambda: True)
    monkeypatch.setattr(os, "waitpid", waitpid)
    assert Reaper(lambda: {12}).reap() == 2
    assert sorted(reaped) == [7, 8]
