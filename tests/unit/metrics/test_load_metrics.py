"""The metrics of the load are sums and levels of the windows of runs."""

from __future__ import annotations

from goloagent.core.stats.histogram import Histogram
from goloagent.core.timeline import Window
from goloagent.metrics.load_metrics import LoadMetrics


def histogram(*values: int) -> Histogram:
    """Return a histogram of nanoseconds."""
    made = Histogram()
    made.record(values)
    return made


def test_windows_are_added() -> None:
    """Counts and times go on from run to run; levels are those of the last window."""
    load = LoadMetrics()
    first = Window(0, 1, planned=5, errors=2, limited=("loop-lag",))
    load.add("closed", first, histogram(10, 20), histogram(30))
    assert load.planned == {"closed": 5}
    assert load.is_limited
    second = Window(0, 0.5, planned=100, errors=1, limited=("loop-lag", "ports"))
    load.add("open", second, histogram(40), histogram(50, 60))
    assert load.planned == {"open": 100}
    load.add("open", Window(0.5, 0.1), histogram(), histogram())
    assert load.planned == {"open": 0}
    assert not load.is_limited
    assert load.limited_seconds == {"loop-lag": 1.5, "ports": 0.5}
    assert load.errors == 3
    assert (load.durations.count, load.durations.total) == (3, 70)
    assert (load.iterations.count, load.iterations.total) == (3, 140)
