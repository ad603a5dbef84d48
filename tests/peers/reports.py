"""Reports of recorded runs."""

from __future__ import annotations

import json
import random
from itertools import cycle
from pathlib import Path
from typing import Any

from msgspec import structs

from goloagent.core.stats.hdr import encode
from goloagent.core.stats.histogram import Histogram
from goloagent.report.model import AgentPart

_RECORDED = Path(__file__).parents[1] / "vectors" / "shop_run.json"


def answers() -> dict[str, Any]:
    """Return `job`, `stats` and `timeline` as an agent answered them after a run of 7 s."""
    recorded: dict[str, Any] = json.loads(_RECORDED.read_text())
    return recorded


def part(agent: str = "10.0.0.1:8081", **job: Any) -> AgentPart:
    """Return an agent's part of a run, with other members of its job."""
    recorded = answers()
    recorded["job"] |= job
    return AgentPart(agent=agent, version="3.0", **recorded)


def hour(urls: int = 300) -> AgentPart:
    """Return a part of a run of an hour at 1,000 results a second, with a histogram each second.

    Latencies spread over four decades, and the URLs are long.
    """
    draw = random.Random(7)
    recorded = answers()
    encoded = [_encoded(draw, 1_000) for _ in range(40)]
    windows = [
        {**recorded["timeline"]["windows"][1], "at": float(second), "seconds": 1.0, **times}
        for second, times in zip(range(3_600), cycle(encoded))
    ]
    [row, *_] = recorded["stats"]["rows"]
    url = "https://shop.example/api/v1/customers/214/orders/{}/positions/" + 40 * "x"
    rows = [{**row, "url": url.format(number)} for number in range(urls)]
    by_url = [{**one, "error_share": 0.0} for one in rows]
    part_of_hour = part(duration=3_600)
    return structs.replace(
        part_of_hour,
        stats={**recorded["stats"], "rows": rows, "urls": by_url},
        timeline={**recorded["timeline"], "windows": windows},
    )


def _encoded(draw: random.Random, values: int) -> dict[str, Any]:
    histogram = Histogram()
    histogram.record([int(draw.lognormvariate(16.5, 1.0)) for _ in range(values)])
    p50, p95, p99 = histogram.quantiles(500, 950, 990)
    times = {
        "p50": p50 / 1e9,
        "p95": p95 / 1e9,
        "p99": p99 / 1e9,
        "max": histogram.maximum / 1e9,
        "histogram": encode(histogram),
    }
    return {"duration": times, "iteration": times}
