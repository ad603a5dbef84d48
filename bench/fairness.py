"""Fairness: latency of the API while the agent reads at full speed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench import agent, peer
from bench.row import Row
from bench.size import Size


def measure(directory: Path, size: Size) -> Iterator[Row]:
    """Request /health a hundred times a second."""
    printer = peer.load_test(directory, "print", 5000, 10)
    collector = peer.free_address()
    with (
        peer.server("collect", collector),
        agent.start(directory, collector) as running,
        running.job(printer, 4) as job_id,
    ):
        before = running.lags()
        begin = running.moment(job_id)
        report = peer.run("probe", f"http://{running.address}/health", 2 * size.seconds)
        span = agent.Span(begin, running.moment(job_id))
        after = running.lags()
    lag = agent.lag_within(0.99, before, after)
    yield Row("p99 of GET /health", report["p99"] * 1e3, "ms", target=50, at_least=False)
    yield Row("p99 of event-loop lag, at most", lag * 1e3, "ms", target=50, at_least=False)
    yield Row("lines read meanwhile", span.rate("read"), "lines/s")
