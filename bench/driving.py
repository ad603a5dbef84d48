"""Driving: calls per second and CPU per call, compared with Go's own net/rpc client.

Both are compared with a client that only counts replies, which shows the limit of the load test.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench import agent, peer
from bench.row import Row
from bench.size import Size

# Number of users: the targets of the ratio of rates and of the ratio of costs.
_TARGETS: dict[int, tuple[float | None, float | None]] = {
    1: (None, None),
    25: (1.1, 0.8),
    1024: (1.6, 0.4),
    10_000: (1.6, 0.4),
}


def measure(directory: Path, size: Size) -> Iterator[Row]:
    """Drive a load test whose call does nothing by the agent and by both clients."""
    noop = peer.load_test(directory, "noop")
    with agent.start(directory) as running:
        for users, (rate_target, cost_target) in _TARGETS.items():
            rounds = [_round(running, noop, users, size.seconds) for _ in range(size.rounds)]
            ours, go, most = zip(*rounds, strict=True)
            name = f"driving, {users:,} users"
            yield Row.compared(name, _rates(ours), "calls/s", _rates(go), rate_target)
            yield Row.compared(
                f"cost of {name}", _costs(ours), "µs/call", _costs(go), cost_target, False
            )
            yield Row.compared(
                f"{name}, relative to a client that only counts",
                _rates(ours),
                "calls/s",
                _rates(most),
            )
            yield Row.compared(
                f"Go's own {name}, relative to a client that only counts",
                _rates(go),
                "calls/s",
                _rates(most),
            )


class _Driven(NamedTuple):
    """Calls per second, and the client's CPU time for each in microseconds."""

    rate: float
    cost: float


def _round(
    running: agent.Agent, noop: Path, users: int, seconds: float
) -> tuple[_Driven, _Driven, _Driven]:
    """Drive by the agent, by Go's client and by one that only counts, one after the other."""
    with running.job(noop, users) as job_id:
        span = running.measure(job_id, seconds)
    ours = _Driven(span.rate("calls"), span.cost("calls"))
    return ours, _peer("client", users, seconds), _peer("bound", users, seconds)


def _peer(kind: str, users: int, seconds: float) -> _Driven:
    address = peer.free_address()
    with peer.server("noop", GOLO_RPC_ADDR=address):
        report = peer.run(kind, address, users, seconds)
    return _Driven(report["done"] / report["seconds"], report["cpu"] * 1e6 / report["done"])


def _rates(driven: tuple[_Driven, ...]) -> list[float]:
    return [one.rate for one in driven]


def _costs(driven: tuple[_Driven, ...]) -> list[float]:
    return [one.cost for one in driven]
