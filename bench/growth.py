"""How it grows: the cost of a call over the number of users; that of a line is with memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench import agent, peer
from bench.row import Row
from bench.size import Size


def measure(directory: Path, size: Size) -> Iterator[Row]:
    """Drive a load test whose call does nothing with ever more users."""
    noop = peer.load_test(directory, "noop")
    costs: dict[int, float] = {}
    with agent.start(directory) as running:
        for users in (1, 10, 100, 1000, 10_000, 100_000):
            with running.job(noop, users) as job_id:
                costs[users] = running.measure(job_id, size.seconds).cost("calls")
    for users, cost in costs.items():
        ratio = cost / costs[1000]
        yield Row(f"cost of a call, {users:,} users beside 1,000", cost, "µs", costs[1000], ratio)
