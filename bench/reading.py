"""Reading: lines from a pipe into out.log, compared with the Go agent and with `cat`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from bench import agent, peer
from bench.row import Row
from bench.size import Size


def measure(directory: Path, size: Size) -> Iterator[Row]:
    """Read the same flood by each reader, then by the whole agent."""
    rounds = [
        (
            _rate(_reader(directory, size.seconds, "plain")),
            _rate(_reader(directory, size.seconds, "statistics")),
            _rate(scan(directory, size.seconds)),
            _cat(directory, size.seconds),
        )
        for _ in range(size.rounds)
    ]
    plain, counted, go, cat = zip(*rounds, strict=True)
    for what, rates, peers, target in [
        ("reading, relative to Go's scanner and json", plain, go, 5.0),
        ("reading with statistics, relative to Go's scanner and json", counted, go, 3.5),
        ("reading, relative to `cat`", plain, cat, None),
    ]:
        yield Row.compared(what, rates, "lines/s", peers, target)
    printer = peer.load_test(directory, "print", 5000, 10)
    with agent.start(directory) as running, running.job(printer, 4) as job_id:
        span = running.measure(job_id, size.seconds)
    yield Row(
        "reading, the whole agent, without a collector",
        span.rate("read"),
        "lines/s",
        median(go),
        span.rate("read") / median(go),
    )


def scan(directory: Path, seconds: float) -> dict[str, Any]:
    """Read a flood by Go and return its report."""
    command = f"{peer.program()} flood {seconds} | {peer.program()} scan {directory}/scanned"
    report: dict[str, Any] = json.loads(subprocess.check_output(["sh", "-c", command]))
    return report


def _reader(directory: Path, seconds: float, kind: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.reader", str(directory / "logs"), str(seconds), kind]
    report: dict[str, Any] = json.loads(subprocess.check_output(command))
    return report


def _cat(directory: Path, seconds: float) -> float:
    """Return the lines per second that `cat` writes to a file."""
    written = directory / "copied"
    begin = time.perf_counter()
    subprocess.run(["sh", "-c", f"{peer.program()} flood {seconds} | cat > {written}"], check=True)
    elapsed = time.perf_counter() - begin
    with written.open("rb") as file:
        start = file.read(1 << 20)
    lines = written.stat().st_size * start.count(b"\n") / len(start)
    written.unlink()
    return lines / elapsed


def _rate(report: dict[str, Any]) -> float:
    rate: float = report["done"] / report["seconds"]
    return rate
