"""When the load generator itself was the limit: causes, judged from one sample a second.

A figure beyond a limit means that latencies and rates of that second may be the generator's and
not the target's.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

MIN_SECONDS = 0.5
"""Shares of a shorter interval, as at the end of a run, are not judged: a tick has 10 ms."""

BUSY_SHARE = 0.9
LOOP_LAG_SECONDS = 0.25
SCHEDULE_LAG_SECONDS = 0.1
STEAL_SHARE = 0.1
MEMORY_STALL_SHARE = 0.1
STDOUT_BLOCKED_SHARE = 0.5

CAUSES = {
    "agent-cpu": f"the agent's thread was running or waiting for a CPU for over {BUSY_SHARE:.0%}",
    "loadtest-cpu": f"a thread of the load test, or all CPUs, were busy for over {BUSY_SHARE:.0%}",
    "loop-lag": f"the agent's event loop stood still for over {LOOP_LAG_SECONDS * 1000:g} ms",
    "schedule-lag": f"iterations started over {SCHEDULE_LAG_SECONDS * 1000:g} ms late (p99)",
    "cpu-steal": f"the hypervisor took over {STEAL_SHARE:.0%} of the CPUs' time",
    "descriptors": "the agent or the load test had no file descriptor left",
    "ports": "the load test had no local port left",
    "stdout-blocked": "the load test waited for its stdout to be read",
    "memory-pressure": f"processes waited for memory for over {MEMORY_STALL_SHARE:.0%}",
}
"""Each cause, and when it holds."""


@attrs.frozen
class Counters:
    """The kernel's counters, in seconds.

    Attributes:
        busy: of the agent's main thread, running or waiting for a CPU.
        steal: of all CPUs together.
        total: of all CPUs together, all uses.
        memory_stall: in which a process waited for memory.
    """

    busy: float = 0.0
    steal: float = 0.0
    total: float = 0.0
    memory_stall: float = 0.0


@attrs.frozen
class Second:
    """The agent's own observations of one interval.

    Attributes:
        load_test_thread: for how many seconds the load test's busiest thread was running or
            waiting for a CPU.
        load_test_share: the part of the time of all CPUs that the load test used.
        loop_lag: the longest time by which a timer was late, in seconds.
        schedule_lag: the 99th percentile of starts that did not wait for a place, in seconds.
        stdout_blocked: for how many seconds the pipe of stdout was full.
        errors: numbers of system errors that the agent or the load test reported.
    """

    seconds: float
    loop_lag: float = 0.0
    schedule_lag: float = 0.0
    stdout_blocked: float = 0.0
    errors: frozenset[int] = frozenset()
    load_test_thread: float = 0.0
    load_test_share: float = 0.0


def causes(second: Second, before: Counters, after: Counters) -> Iterator[str]:
    """Yield the causes that held between two readings of the counters."""
    has_shares = second.seconds >= MIN_SECONDS
    if has_shares and after.busy - before.busy > BUSY_SHARE * second.seconds:
        yield "agent-cpu"
    is_serial = second.load_test_thread > BUSY_SHARE * second.seconds
    if has_shares and (is_serial or second.load_test_share > BUSY_SHARE):
        yield "loadtest-cpu"
    if second.loop_lag > LOOP_LAG_SECONDS:
        yield "loop-lag"
    if second.schedule_lag > SCHEDULE_LAG_SECONDS:
        yield "schedule-lag"
    if has_shares and after.steal - before.steal > STEAL_SHARE * (after.total - before.total):
        yield "cpu-steal"
    if second.errors & {errno.EMFILE, errno.ENFILE}:
        yield "descriptors"
    if errno.EADDRNOTAVAIL in second.errors:
        yield "ports"
    if has_shares and second.stdout_blocked > STDOUT_BLOCKED_SHARE * second.seconds:
        yield "stdout-blocked"
    stalled = after.memory_stall - before.memory_stall
    if has_shares and stalled > MEMORY_STALL_SHARE * second.seconds:
        yield "memory-pressure"


# How the C library, Go, Java and Node.js name them; an error's text may have any beginning.
_ERROR_TEXTS = {
    "too many open files": errno.EMFILE,
    "emfile": errno.EMFILE,
    "enfile": errno.ENFILE,
    "cannot assign requested address": errno.EADDRNOTAVAIL,
    "eaddrnotavail": errno.EADDRNOTAVAIL,
}


def system_errors(text: str) -> frozenset[int]:
    """Return the numbers of the system errors that the text of an error names.

    "Too many open files in system" is ENFILE, and taken for EMFILE, which is the same cause.
    """
    lower = text.lower()
    return frozenset(number for words, number in _ERROR_TEXTS.items() if words in lower)


def read_counters(thread: int, proc: Path = Path("/proc")) -> Counters:
    """Read the kernel's counters; those that it does not have are 0.

    Args:
        thread: the agent's main thread.
    """
    running, waiting = _numbers(proc / "self/task" / str(thread) / "schedstat", _first_line)[:2]
    # user nice system idle iowait irq softirq steal; guests are in user already (proc(5)).
    cpu = _numbers(proc / "stat", _first_line)[:8]
    ticks = os.sysconf("SC_CLK_TCK")
    (stalled,) = _numbers(proc / "pressure/memory", _stalled)[:1]
    return Counters(
        busy=(running + waiting) / 1e9,
        steal=cpu[7] / ticks,
        total=sum(cpu) / ticks,
        memory_stall=stalled / 1e6,
    )


def _numbers(path: Path, select: Callable[[str], str]) -> list[int]:
    """Return the whole numbers of a part of a file, and zeros behind them."""
    try:
        text = select(path.read_text())
    except OSError:
        text = ""
    return [int(word) for word in text.split() if word.isdigit()] + [0] * 8


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _stalled(text: str) -> str:
    """Return the microseconds of ``some ... total=123``."""
    return _first_line(text).rpartition("total=")[2]
