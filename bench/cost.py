"""The cost of a result in a real HTTP load test, driven, read and delivered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench import agent, peer
from bench.row import Row
from bench.size import Size

_USERS = 25


def measure(directory: Path, size: Size) -> Iterator[Row]:
    """Let 25 users send requests to a local target, alternating with the Go agent."""
    collector, target = peer.free_address(), peer.free_address()
    spans, peers = [], []
    with peer.server("collect", collector), peer.server("target", target):
        get = peer.load_test(directory, "get", f"http://{target}/")
        with agent.start(directory, collector) as running:
            for _ in range(size.rounds):
                with running.job(get, _USERS) as job_id:
                    spans.append(running.measure(job_id, size.seconds))
                where = (peer.free_address(), f"http://{collector}/", directory / "go.log")
                peers.append(peer.run("whole", get, *where, _USERS, size.seconds))
    costs = [span.cost("delivered") for span in spans]
    go_costs = [report["cpu"] * 1e6 / max(1, report["done"]) for report in peers]
    rates = [span.rate("delivered") for span in spans]
    go_rates = [report["done"] / report["seconds"] for report in peers]
    name = f"cost of a result, {_USERS} users"
    yield Row(name, median(costs), "µs/result", target=15, at_least=False)
    yield Row.compared(f"{name}, relative to Go's", costs, "µs/result", go_costs, 1, at_least=False)
    yield Row.compared("results meanwhile, relative to Go's", rates, "results/s", go_rates)
