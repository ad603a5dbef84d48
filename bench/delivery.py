"""Delivery: results per second from the pipe to a collector that responds at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench import agent, peer
from bench.reading import scan
from bench.row import Row
from bench.size import Size


def measure(directory: Path, size: Size) -> Iterator[Row]:
    """Deliver a flood, alternating with Go's reading alone."""
    printer = peer.load_test(directory, "print", 5000, 10)
    address = peer.free_address()
    pairs = []
    with peer.server("collect", address), agent.start(directory, address) as running:
        for _ in range(size.rounds):
            with running.job(printer, 4) as job_id:
                span = running.measure(job_id, size.seconds)
            running.wait_delivered(job_id)
            report = scan(directory, size.seconds)
            pairs.append((span.rate("delivered"), report["done"] / report["seconds"]))
    ours, go = zip(*pairs, strict=True)
    yield Row.compared("reading and delivery, relative to Go's reading", ours, "results/s", go, 2)
