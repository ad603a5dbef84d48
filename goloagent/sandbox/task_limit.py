"""The number of tasks (processes and threads) a load test may have, with a reserve for the agent.

Without the reserve, the agent could not start another process. Limits may change while the agent
runs, so they are read for each run.
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
    """Return the number of tasks a load test may have, or None if there is no limit."""
    limit = min(_limits(_PROC), default=None)
    return None if limit is None else limit - reserved(limit)


def reserved(limit: int) -> int:
    """Return the agent's reserve of a limit: a tenth, at least `MIN_RESERVE`, at most half."""
    return min(max(MIN_RESERVE, limit // 10), limit // 2)


def _limits(proc: Path) -> Iterator[int]:
    """Yield the limits on the tasks of the agent and its load tests together."""
    for name in ("threads-max", "pid_max"):
        with suppress(OSError, ValueError):
            yield int((proc / "sys" / "kernel" / name).read_text())
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft != resource.RLIM_INFINITY:
        yield soft
    yield from _of_cgroups(cgroup.limiting_cgroups(proc / "self"))


def _of_cgroups(directories: Iterable[Path]) -> Iterator[int]:
    for directory in directories:
        with suppress(OSError, ValueError):  # "max" is no limit
            yield int((directory / "pids.max").read_text())
