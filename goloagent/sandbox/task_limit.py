"""How many tasks (processes and threads) a load test may have, so that the agent keeps some.

A load test that used up all of them would keep the agent from starting the next one. Read anew for
each run: limits are changed while the agent runs.
"""

from __future__ import annotations

import resource
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from goloagent.sandbox import cgroup

MIN_RESERVE = 64
_PROC = Path("/proc")


def max_tasks() -> int | None:
    """Return how many tasks a load test may have, or None where nothing limits this machine's."""
    limit = min(_limits(_PROC), default=None)
    return None if limit is None else limit - reserve(limit)


def reserve(limit: int) -> int:
    """Return how many of so many tasks stay for the agent: a tenth, at least 64, at most half."""
    return min(max(MIN_RESERVE, limit // 10), limit // 2)


def _limits(proc: Path) -> Iterator[int]:
    """Give every limit of tasks that holds for the agent and its load tests together."""
    for name in ("threads-max", "pid_max"):
        with suppress(OSError, ValueError):
            yield int((proc / "sys" / "kernel" / name).read_text())
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft != resource.RLIM_INFINITY:
        yield soft
    yield from _of_cgroups(cgroup.with_pids(proc / "self"))


def _of_cgroups(directories: Iterable[Path]) -> Iterator[int]:
    for directory in directories:
        with suppress(OSError, ValueError):  # "max" is no number
            yield int((directory / "pids.max").read_text())
