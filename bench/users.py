"""Memory with 100,000 users in calls of two seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench import agent, peer
from bench.row import Row
from bench.size import Size


def measure(directory: Path, size: Size) -> Iterator[Row]:
    """Keep 100,000 calls outstanding."""
    hold = peer.load_test(directory, "hold", 2)
    with agent.start(directory) as running:
        before = running.memory("VmRSS")
        with running.job(hold, 100_000) as job_id:
            running.measure(job_id, size.seconds + 2)
            memory = running.memory("VmHWM")
    yield Row("memory, idle", before, "MiB RSS")
    yield Row("memory, 100,000 users, maximum", memory, "MiB RSS", target=200, at_least=False)
