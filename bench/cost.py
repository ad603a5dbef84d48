"""The cost of a result in a real HTTP load test, driven, read and delivered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench import agent, peer
from bench.row import Row
from bench.size import Size


def measure(directory: Path, size: Size) -> Iterator[Row]:
    """Have 25 users make requests of a target on this machine."""
    collector, target = peer.free_address(), peer.free_address()
    spans = []
    with peer.server("collect", collector), peer.server("target", target):
        get = peer.load_test(directory, "get", f"http://{target}/")
        with agent.start(directory, collector) as running:
            for _ in range(size.rounds):
                with running.job(get, 25) as job_id:
                    spans.append(running.measure(job_id, size.seconds))
    cost = median(span.cost("delivered") for span in spans)
    yield Row("cost of a result, 25 users", cost, "µs/result", target=15, at_least=False)
    yield Row("results meanwhile", median(span.rate("delivered") for span in spans), "results/s")
