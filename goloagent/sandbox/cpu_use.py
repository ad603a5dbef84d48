"""The CPU time that the processes of a load test use, from /proc (proc(5))."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import attrs

from goloagent.sandbox import cgroup, proc_stat
from goloagent.sandbox.proc_stat import PROC

MAX_PROCESSES = 256
MAX_NEW = 512
"""New processes on the host that are read at a time, the last ones first."""

MAX_THREADS = 64
"""Of all processes together, those of the process with the most time first."""

_MIN_SECONDS = 0.01  # one tick

_NANOSECONDS = 1e9

# Only one of their threads runs at a time.
_SERIAL = re.compile(rb"(?:.*/)?(?:python|ruby)[0-9.]*\Z")


@attrs.frozen
class CpuUse:
    """The CPU time of an interval.

    Attributes:
        thread: for how many seconds the busiest thread was running or waiting for a CPU.
        share: the part of the time of all available CPUs that all processes used.
        used: the CPU seconds of all processes; None if they are not known.
    """

    thread: float = 0.0
    share: float = 0.0
    used: float | None = None


@attrs.frozen
class Usage:
    """A process and its CPU time since its start, in ticks of the kernel's clock.

    Attributes:
        own: of all its threads.
        reaped: of its children for which it has waited, and of theirs.
    """

    pid: int
    parent: int
    group: int
    session: int
    own: int
    reaped: int


class CpuMeter:
    """Measures `leader` and its descendants, from the construction on.

    A reading takes time for them and for processes that are new since the last one.
    """

    def __init__(self, leader: int, proc: Path = PROC) -> None:
        self._leader = leader
        self._proc = proc
        self._cpus = available_cpus(leader, proc)
        self._tick_seconds = 1 / os.sysconf("SC_CLK_TCK")
        self._others: set[int] = set()
        self._processes: dict[int, Usage] = {}
        self._threads: dict[int, int] = {}
        self.take(1.0)

    def take(self, seconds: float) -> CpuUse:
        """Return the use since the last call, `seconds` ago.

        Commands that a load test runs in process groups of their own, as `loadtests.command` does,
        have no busiest thread: their time is what such a load test measures.
        """
        before, self._processes = self._processes, self._read()
        used = (sum(_spent(self._processes)) - sum(_spent(before))) * self._tick_seconds
        share = max(0.0, used / (self._cpus * max(seconds, _MIN_SECONDS)))
        # Less than before: a process outside of the load test has reaped one of them.
        is_known = self._leader in before and self._leader in self._processes and used >= 0
        own = {
            pid: one.own - (before[pid].own if pid in before else 0)
            for pid, one in self._processes.items()
            if one.group == one.session
        }
        by_use = sorted(own, key=own.__getitem__, reverse=True)
        return CpuUse(self._busiest_thread(by_use, own), share, used if is_known else None)

    def _read(self) -> dict[int, Usage]:
        """Read the processes that were found before, and the new ones that descend from them."""
        try:
            present = {int(entry.name) for entry in proc_stat.entries(self._proc)}
        except OSError:
            return {}
        known = present & (self._processes.keys() | {self._leader})
        found = {one.pid: one for one in self._usages(known)}
        unknown = sorted(present - known - self._others, reverse=True)
        new = list(self._usages(unknown[:MAX_NEW]))
        while len(found) < MAX_PROCESSES:
            children = [one for one in new if one.pid not in found and one.parent in found]
            if not children:
                break
            found.update((one.pid, one) for one in children[: MAX_PROCESSES - len(found)])
        self._others = present - found.keys() - set(unknown[MAX_NEW:])
        return found

    def _usages(self, pids: Iterable[int]) -> Iterator[Usage]:
        for pid in pids:
            with suppress(OSError, ValueError):  # it has ended
                yield parse((self._proc / str(pid) / "stat").read_text(errors="replace"))

    def _busiest_thread(self, pids: Iterable[int], own: Mapping[int, int]) -> float:
        """Return the time of the busiest thread, in seconds; a new one is measured from now on."""
        before, self._threads = self._threads, {}
        busiest = 0.0
        for pid in pids:
            now = self._read_threads(pid, MAX_THREADS - len(self._threads))
            self._threads |= now
            used = [(time - before.get(tid, time)) / _NANOSECONDS for tid, time in now.items()]
            # Its own time has that of further threads, but not their waits.
            together = max(sum(used), own[pid] * self._tick_seconds)
            if len(used) > 1 and together > busiest and self._is_serial(pid):
                used = [together]
            busiest = max(busiest, *used, 0.0)
        return busiest

    def _read_threads(self, pid: int, number: int) -> dict[int, int]:
        """Return the times of the first threads of a process."""
        times = {}
        tasks = f"{self._proc}/{pid}/task"
        with suppress(OSError):
            for name in sorted(os.listdir(tasks), key=int)[:number]:  # noqa: PTH208
                times[int(name)] = _schedstat(f"{tasks}/{name}/schedstat")
        return times

    def _is_serial(self, pid: int) -> bool:
        """Return whether only one thread of a process runs at a time, as in Python."""
        with suppress(OSError):
            program = (self._proc / str(pid) / "cmdline").read_bytes().partition(b"\0")[0]
            return _SERIAL.match(program) is not None
        return False


def parse(stat: str) -> Usage:
    """Parse a stat file; the program's name in it, in brackets, may be any text."""
    before, _, after = stat.rpartition(")")
    fields = after.split()
    parent, group, session = map(int, fields[1:4])
    user, system, reaped_user, reaped_system = map(int, fields[11:15])
    return Usage(
        pid=int(before.split()[0]),
        parent=parent,
        group=group,
        session=session,
        own=user + system,
        reaped=reaped_user + reaped_system,
    )


def available_cpus(pid: int, proc: Path = PROC) -> float:
    """Return how many CPUs a process may use, by its affinity and its cgroups."""
    try:
        count = float(len(os.sched_getaffinity(pid)))
    except OSError:
        count = float(os.cpu_count() or 1)
    for directory in cgroup.limiting_cgroups(proc / str(pid)):
        with suppress(OSError, ValueError):
            quota, period = map(int, (directory / "cpu.max").read_text().split())  # or "max"
            count = min(count, quota / period)
    return count


def _spent(processes: dict[int, Usage]) -> Iterator[int]:
    """Yield the ticks of processes with those of their reaped children."""
    return (one.own + one.reaped for one in processes.values())


def _schedstat(path: str) -> int:
    """Return for how many nanoseconds a thread was running or waiting, or 0."""
    with suppress(OSError, ValueError), open(path, "rb", buffering=0) as file:  # noqa: PTH123
        running, waiting = file.read().split()[:2]
        return int(running) + int(waiting)
    return 0
