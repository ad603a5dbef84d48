"""Driving: calls per second and CPU per call, beside Go's own net/rpc client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench import agent, peer
from bench.row import Row
from bench.size import Size

# Users, and the targets of the rates' ratio and of the costs'.
_TARGETS: dict[int, tuple[float | None, float | None]] = {
    1: (None, None),
    25: (1.1, 0.8),
    1024: (1.6, 0.4),
    10_000: (1.6, 0.4),
}


def measure(directory: Path, size: Size) -> Iterator[Row]:
    """Drive a load test whose call does nothing, by the agent and by Go in turn."""
    noop = peer.load_test(directory, "noop")
    with agent.start(directory) as running:
        for users, (rate_target, cost_target) in _TARGETS.items():
            pairs = [_pair(running, noop, users, size.seconds) for _ in range(size.rounds)]
            rates, go_rates, costs, go_costs = zip(*pairs, strict=True)
            name = f"driving, {users:,} users"
            yield Row.beside(name, rates, "calls/s", go_rates, rate_target)
            yield Row.beside(f"cost of {name}", costs, "µs/call", go_costs, cost_target, False)


def _pair(
    running: agent.Agent, noop: Path, users: int, seconds: float
) -> tuple[float, float, float, float]:
    """Return the rate of the agent and of Go, and the cost of a call to each."""
    with running.job(noop, users) as job_id:
        span = running.measure(job_id, seconds)
    address = peer.free_address()
    with peer.server("noop", GOLO_RPC_ADDR=address):
        told = peer.run("client", address, users, seconds)
    return (
        span.rate("calls"),
        told["done"] / told["seconds"],
        span.cost("calls"),
        told["cpu"] * 1e6 / told["done"],
    )
