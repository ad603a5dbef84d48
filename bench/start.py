"""Start: from the start of twistd to its first answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench import agent
from bench.row import Row
from bench.size import Size


def measure(directory: Path, size: Size) -> Iterator[Row]:
    """Start agents one after another."""
    took = []
    for _ in range(2 * size.rounds - 1):
        begin = time.perf_counter()
        with agent.start(directory):
            took.append(time.perf_counter() - begin)
    yield Row("start, to the first answer", median(took), "s", target=1.0, at_least=False)
