"""Fairness: how long others wait for the agent while it reads at full speed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bench import agent, peer
from bench.row import Row
from bench.size import Size

_LAG = re.compile(r'golo_agent_event_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)')


def measure(directory: Path, size: Size) -> Iterator[Row]:
    """Ask for the health a hundred times a second."""
    printer = peer.load_test(directory, "print", 5000, 10)
    collector = peer.free_address()
    with (
        peer.server("collect", collector),
        agent.start(directory, collector) as running,
        running.job(printer, 4) as job_id,
    ):
        before = _lags(running)
        begin = running.moment(job_id)
        told = peer.run("probe", f"http://{running.address}/health", 2 * size.seconds)
        span = agent.Span(begin, running.moment(job_id))
        after = _lags(running)
    late = {bound: after[bound] - before[bound] for bound in after}
    wanted = 0.99 * late[float("inf")]
    lag = min(bound for bound, count in late.items() if count >= wanted)
    yield Row("p99 of GET /health", told["p99"] * 1e3, "ms", target=50, at_least=False)
    yield Row("p99 of event-loop lag, at most", lag * 1e3, "ms", target=50, at_least=False)
    yield Row("lines read meanwhile", span.rate("read"), "lines/s")


def _lags(running: agent.Agent) -> dict[float, float]:
    text = running.ask("GET", "/metrics").decode()
    return {float(bound): float(count) for bound, count in _LAG.findall(text)}
