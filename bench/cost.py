"""The cost of a result in a real HTTP load test, driven, read and delivered.

In the closed model users wait for each reply; in the open model no call waits for one, and
replies share events. ``BENCH_BASELINE=/path/to/python`` compares with another version of the agent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench import agent, peer
from bench.row import Row
from bench.size import Size

_USERS = 25
_RATES = (1000, 8000)


def measure(directory: Path, size: Size) -> Iterator[Row]:
    """Let 25 users send requests to a local target, alternating with the Go agent."""
    collector, target = peer.free_address(), peer.free_address()
    spans, peers, others = [], [], []
    with ExitStack() as stack:
        stack.enter_context(peer.server("collect", collector))
        stack.enter_context(peer.server("target", target))
        get = peer.load_test(directory, "get", f"http://{target}/")
        running = stack.enter_context(agent.start(directory, collector))
        for _ in range(size.rounds):
            with running.job(get, _USERS) as job_id:
                spans.append(running.measure(job_id, size.seconds))
            where = (peer.free_address(), f"http://{collector}/", directory / "go.log")
            peers.append(peer.run("whole", get, *where, _USERS, size.seconds))
            if python := agent.baseline():
                with (
                    agent.start(directory / "baseline", collector, python) as other,
                    other.job(get, _USERS) as job_id,
                ):
                    others.append(other.measure(job_id, size.seconds))
        opens = {rate: _open(running, get, rate, size) for rate in _RATES}
    costs = [span.cost("read") for span in spans]
    go_costs = [report["cpu"] * 1e6 / max(1, report["done"]) for report in peers]
    rates = [span.rate("read") for span in spans]
    go_rates = [report["done"] / report["seconds"] for report in peers]
    name = f"cost of a result, {_USERS} users"
    yield Row(name, median(costs), "µs/result", target=15, at_least=False)
    yield Row.compared(f"{name}, relative to Go's", costs, "µs/result", go_costs, 1, at_least=False)
    yield Row.compared("results meanwhile, relative to Go's", rates, "results/s", go_rates, 0.95)
    if others:
        before = [span.cost("read") for span in others]
        yield Row.compared(
            f"{name}, relative to the baseline", costs, "µs/result", before, 0.8, False
        )
        before = [span.rate("read") for span in others]
        yield Row.compared("results meanwhile, relative to it", rates, "results/s", before)
    for rate, (found, pushes) in opens.items():
        name = f"cost of a result, {rate:,} arrivals/s"
        yield Row(
            name, median(span.cost("read") for span in found), "µs/result", None, None, 20, False
        )
        yield Row("results meanwhile", median(span.rate("read") for span in found), "results/s")
        yield Row("pushes meanwhile", pushes, "pushes/s")


def _open(running: agent.Agent, get: Path, rate: int, size: Size) -> tuple[list[agent.Span], float]:
    """Let calls arrive at a rate; return the spans, and the pushes per second."""
    spans, pushes = [], 0.0
    for _ in range(size.rounds):
        with running.job(get, rate=rate) as job_id:
            before = running.pushes()
            spans.append(running.measure(job_id, size.seconds))
            pushes += running.pushes() - before
    return spans, pushes / sum(span.end.time - span.begin.time + 0.5 for span in spans)
