"""The CPU time of a load test, in a directory that models /proc."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from goloagent.sandbox import cpu_use
from goloagent.sandbox.cpu_use import CpuMeter, CpuUse, available_cpus, parse

TICKS = os.sysconf("SC_CLK_TCK")
LEADER = 100


class Proc:
    """A model of /proc."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def set(
        self,
        pid: int,
        parent: int,
        own: float = 0,
        reaped: float = 0,
        group: int = LEADER,
        session: int = LEADER,
        threads: dict[int, float] | None = None,
        program: str = "/usr/bin/loadtest",
    ) -> None:
        """Set a process; times are in seconds, and each thread's is that of running."""
        entry = self.path / str(pid)
        shutil.rmtree(entry, ignore_errors=True)
        entry.mkdir()
        user, waited = round(own * TICKS), round(reaped * TICKS)
        numbers = f"{parent} {group} {session} 0 -1 4194304 1 2 3 4 {user} 0 {waited} 0 20 0 1 0"
        (entry / "stat").write_text(f"{pid} (a) b) S {numbers}\n")
        (entry / "cmdline").write_bytes(f"{program}\0./loadtest\0".encode())
        for tid, seconds in ({pid: own} if threads is None else threads).items():
            (entry / "task" / str(tid)).mkdir(parents=True)
            text = f"{round(seconds * 0.75e9)} {round(seconds * 0.25e9)} 12\n"
            (entry / "task" / str(tid) / "schedstat").write_text(text)

    def end(self, pid: int) -> None:
        """Remove a process."""
        shutil.rmtree(self.path / str(pid))


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proc:
    """Return a model with a load test on two CPUs, and another process."""
    monkeypatch.setattr(cpu_use, "available_cpus", lambda *_: 2.0)
    proc = Proc(tmp_path)
    proc.set(1, 0, own=50, group=1, session=1)
    proc.set(LEADER, 1, own=7)
    (tmp_path / "self").mkdir()
    return proc


def test_parse() -> None:
    """The fields are those of proc(5); the program's name may contain brackets."""
    text = "12 (x) 1 2) R 3 4 5 0 -1 4194304 1 2 3 4 50 6 70 8 20 0 1 0"
    assert parse(text) == cpu_use.Usage(pid=12, parent=3, group=4, session=5, own=56, reaped=78)


def test_use_since_the_last_call(proc: Proc) -> None:
    """Time that was used before does not count, and a share is that of all CPUs."""
    meter = CpuMeter(LEADER, proc.path)
    assert meter.take(1) == CpuUse(0, 0, 0)
    proc.set(1, 0, own=60, group=1, session=1)
    proc.set(LEADER, 1, own=7.5)
    assert meter.take(1) == CpuUse(0.5, 0.25, 0.5)
    proc.set(LEADER, 1, own=9)
    assert meter.take(2) == CpuUse(1.5, 0.375, 1.5)


def test_the_busiest_thread(proc: Proc) -> None:
    """It is one of any process; a thread that is new is measured from then on."""
    proc.set(101, LEADER, own=2, threads={101: 1, 102: 1})
    meter = CpuMeter(LEADER, proc.path)
    proc.set(101, LEADER, own=3.1, threads={101: 1.3, 102: 1.7, 103: 5})
    assert meter.take(1) == CpuUse(pytest.approx(0.7), 0.55, pytest.approx(1.1))
    proc.set(101, LEADER, own=3.1, threads={101: 1.3, 102: 1.7, 103: 5.9})
    assert meter.take(1) == CpuUse(pytest.approx(0.9), 0, 0)


@pytest.mark.parametrize(
    ("program", "thread"),
    [
        ("python3", 0.95),
        ("python", 0.95),
        ("/usr/bin/python3.11", 0.95),
        ("ruby", 0.95),
        ("/srv/python3.13t", 0.5),
        ("/usr/bin/pythonic", 0.5),
        ("./loadtest", 0.5),
    ],
)
def test_threads_that_take_turns(proc: Proc, program: str, thread: float) -> None:
    """The threads of Python with its lock are one thread."""
    proc.set(LEADER, 1, own=1, threads={100: 0.5, 101: 0.5}, program=program)
    meter = CpuMeter(LEADER, proc.path)
    proc.set(LEADER, 1, own=1.95, threads={100: 1, 101: 0.95}, program=program)
    assert meter.take(1).thread == pytest.approx(thread)


def test_many_threads_that_take_turns(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of those that are not read counts too."""
    monkeypatch.setattr(cpu_use, "MAX_THREADS", 2)
    proc.set(LEADER, 1, threads=dict.fromkeys(range(100, 110), 0), program="python3")
    meter = CpuMeter(LEADER, proc.path)
    proc.set(LEADER, 1, own=1, threads=dict.fromkeys(range(100, 110), 0.1), program="python3")
    assert meter.take(1).thread == pytest.approx(1)


def test_descendants_of_a_namespace(proc: Proc) -> None:
    """The leader is the monitor; the load test and its workers are found whenever they start."""
    proc.set(101, LEADER)
    proc.set(102, 101, session=102, group=102, own=1)
    meter = CpuMeter(LEADER, proc.path)
    proc.set(102, 101, session=102, group=102, own=1.25)
    proc.set(99, 104, session=102, group=102, own=0.5)
    proc.set(104, 102, session=102, group=102, own=0.25)
    assert meter.take(1) == CpuUse(0.25, 0.5, 1)
    proc.set(99, 104, session=102, group=102, own=1.25)
    assert meter.take(1) == CpuUse(0.75, 0.375, 0.75)


def test_commands_in_groups_of_their_own(proc: Proc) -> None:
    """Their time counts once, also after they were reaped, but is that of no thread."""
    meter = CpuMeter(LEADER, proc.path)
    proc.set(101, LEADER, own=1, group=101)
    assert meter.take(1) == CpuUse(0, 0.5, 1)
    proc.set(101, LEADER, own=2, group=101)
    assert meter.take(1) == CpuUse(0, 0.5, 1)
    proc.end(101)
    proc.set(LEADER, 1, own=7, reaped=2.5)
    assert meter.take(1) == CpuUse(0, 0.25, 0.5)


def test_a_process_that_is_lost(proc: Proc) -> None:
    """If another process has reaped one, or all have ended, the use is not known, and no limit."""
    proc.set(101, LEADER, own=9)
    meter = CpuMeter(LEADER, proc.path)
    proc.end(101)
    assert meter.take(1) == CpuUse(0, 0)
    proc.end(LEADER)
    assert meter.take(0) == CpuUse(0, 0)
    shutil.rmtree(proc.path)
    assert meter.take(1) == CpuUse(0, 0)


def test_many_processes_and_threads(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many are read; those of the busiest process first."""
    monkeypatch.setattr(cpu_use, "MAX_PROCESSES", 4)
    monkeypatch.setattr(cpu_use, "MAX_THREADS", 3)
    for pid in range(101, 110):
        proc.set(pid, LEADER, threads={pid: 0})
    meter = CpuMeter(LEADER, proc.path)
    read = sorted(meter._processes)
    assert len(read) == 4
    busy = read[-1]
    proc.set(busy, LEADER, own=1, threads={busy: 0, 500: 0, 501: 0, 502: 0})
    meter.take(1)
    proc.set(busy, LEADER, own=2, threads={busy: 0.1, 500: 0.1, 501: 0.5, 502: 0.9})
    assert meter.take(1).thread == pytest.approx(0.5)


def test_many_new_processes_on_the_host(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many are read at a time, until all are known."""
    monkeypatch.setattr(cpu_use, "MAX_NEW", 2)
    read = []
    parse_one = cpu_use.parse
    monkeypatch.setattr(cpu_use, "parse", lambda stat: read.append(1) or parse_one(stat))
    meter = CpuMeter(LEADER, proc.path)
    for pid in range(101, 106):
        proc.set(pid, LEADER if pid == 103 else 1, own=0.5)
    counts = []
    for _ in range(4):
        read.clear()
        use = meter.take(1)
        counts.append((len(read), use.share))
    assert counts == [(3, 0), (3, 0.25), (3, 0), (2, 0)]


def test_cpus_of_a_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The least of the affinity and of the quotas of all cgroups counts."""
    inner = tmp_path / "a/b"
    inner.mkdir(parents=True)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 5, 7})
    monkeypatch.setattr(
        cpu_use.cgroup, "limiting_cgroups", lambda _: iter([inner, inner.parent, tmp_path])
    )
    assert available_cpus(LEADER, tmp_path) == 4
    (inner / "cpu.max").write_text("max 100000\n")
    assert available_cpus(LEADER, tmp_path) == 4
    (tmp_path / "a/cpu.max").write_text("150000 100000\n")
    assert available_cpus(LEADER, tmp_path) == 1.5


@pytest.mark.parametrize("threads", [1, 2])
def test_this_process(threads: int) -> None:
    """The kernel's own files have the form that is read; Python's threads take turns."""
    meter = CpuMeter(os.getpid())
    work: Callable[[], int] = lambda: sum(range(3 * 10**6))  # noqa: E731
    for thread in [threading.Thread(target=work) for _ in range(threads)]:
        thread.start()
        thread.join()
    use = meter.take(1)
    assert use.share > 0
    if os.getpgid(0) == os.getsid(0):
        assert use.thread > 0
