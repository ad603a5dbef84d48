"""Arrivals of the open model: how late calls are, and whether each second has its number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any

from bench import agent, peer
from bench.row import Row
from bench.size import Size

RATE = 5000


def measure(directory: Path, size: Size) -> Iterator[Row]:
    """Let calls that do nothing arrive evenly, then at random."""
    noop = peer.load_test(directory, "noop")
    seconds = round(max(3, 5 * size.seconds))
    with agent.start(directory) as running:
        even = [_run(running, noop, seconds, "even", number) for number in range(size.rounds)]
        random = [_run(running, noop, seconds, "poisson", number) for number in range(size.rounds)]
    lag = max(one["lag"] for one in even)
    late = max(abs(rate / RATE - 1) for one in even for rate in one["rates"])
    name = f"{RATE:,} even arrivals/s"
    yield Row(f"{name}, p99 of the schedule lag", lag * 1e3, "ms", target=2, at_least=False)
    yield Row(f"{name}, worst second's deviation", late * 100, "%", target=0.5, at_least=False)
    name = f"{RATE:,} Poisson arrivals/s"
    counts = [count for one in random for count in one["counts"]]
    p_value = chi_square(counts, RATE)
    yield Row(f"{name}, chi-square test of {len(counts)} seconds, p", p_value, "", target=0.01)
    yield Row(f"{name}, p99 of the schedule lag", max(one["lag"] for one in random) * 1e3, "ms")


def chi_square(counts: list[float], mean: float) -> float:
    """Return the two-sided p-value of counts as those of a Poisson process with a mean.

    The dispersion of n counts is distributed as chi-square with n degrees of freedom, here in the
    approximation of Wilson and Hilferty.
    """
    freedom = len(counts)
    statistic = sum((count - mean) ** 2 / mean for count in counts)
    spread = 2 / (9 * freedom)
    score = ((statistic / freedom) ** (1 / 3) - (1 - spread)) / sqrt(spread)
    return 2 * (1 - NormalDist().cdf(abs(score)))


def _run(
    running: agent.Agent, noop: Path, seconds: int, arrivals: str, seed: int
) -> dict[str, Any]:
    """Run a job to its end; return its lag, and the rate and number of calls of each second."""
    stages = [{"rate": RATE, "duration": 0}, {"rate": RATE, "duration": seconds}]
    load = {"stages": stages, "arrivals": arrivals, "seed": seed}
    job_id = running.queue(noop, load=load, duration=None)
    running.wait_over(job_id)
    statistics = json.loads(running.ask("GET", f"/jobs/{job_id}/stats"))
    timeline = json.loads(running.ask("GET", f"/jobs/{job_id}/timeline"))
    windows = [one for one in timeline["windows"] if one["at"] + one["seconds"] <= seconds]
    return {
        "lag": statistics["calls"]["schedule_lag"]["p99"],
        "rates": [one["started"] / one["seconds"] for one in windows],
        "counts": [one["scheduled"] / one["seconds"] for one in windows],
    }
