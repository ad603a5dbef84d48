"""Check that panels of the dashboards show what a run was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest

from peers.grafana import Series, Span

USERS, RATE = 5, 400
# Users choose a range around a run; scrapes and rates need some seconds more.
BEFORE, AFTER = 5, 8


@attrs.frozen
class Run:
    """A run as the agent reports it, and the durations in its log, sorted, in seconds."""

    job: dict[str, Any]
    stats: dict[str, Any]
    windows: list[dict[str, Any]]
    start: float
    durations: list[float]
    at_rest: bool = True
    """Whether no other run has begun before the end of the time range."""

    @property
    def span(self) -> Span:
        """The time range that is looked at."""
        last = self.windows[-1]
        return Span(self.start - BEFORE, self.start + last["at"] + last["seconds"] + AFTER)

    @property
    def slowest_iteration(self) -> float:
        """The longest iteration; windows without iterations have none."""
        return max(window["iteration"]["max"] for window in self.windows if window["iteration"])

    def total(self, name: str) -> int:
        """Return the sum of a count of the timeline."""
        return sum(window[name] for window in self.windows)

    def between(self, quantile: float) -> tuple[float, float]:
        """Return the durations around a quantile, 0.2 % apart from those of the log."""
        place = round(quantile * len(self.durations))
        low, high = max(0, place - 2), min(len(self.durations) - 1, place + 1)
        return self.durations[low] * 0.998, self.durations[high] * 1.002


Check = Callable[[Sequence[Series], Run], None]


def number(expected: Callable[[Run], float]) -> Check:
    """Check that one number is exact."""

    def check(series: Sequence[Series], run: Run) -> None:
        (one,) = series
        assert one.last == pytest.approx(expected(run), rel=1e-9)

    return check


def quantile(place: float) -> Check:
    """Check that one number is a percentile of the durations."""

    def check(series: Sequence[Series], run: Run) -> None:
        low, high = run.between(place)
        (one,) = series
        assert low <= one.last <= high

    return check


def rate(name: str) -> Check:
    """Check that PromQL's rates, which are extrapolated, are of a count of the timeline."""

    def check(series: Sequence[Series], run: Run) -> None:
        assert_rates([value for one in series for _, value in one.points], run, name)

    return check


def assert_rates(found: Sequence[float], run: Run, name: str) -> None:
    """Check rates: none is much above the busiest window, and together they have the count.

    A rate covers four seconds, of which the databases extrapolate those without samples.
    """
    busiest = max(window[name] / max(window["seconds"], 0.1) for window in run.windows)
    assert max(found) <= busiest * 2
    assert sum(found) >= run.total(name) * 0.2


def counted(name: str) -> Check:
    """Check that InfluxQL's counts of a second are exact, over all series."""

    def check(series: Sequence[Series], run: Run) -> None:
        found = sum(value for one in series for _, value in one.points)
        assert found == pytest.approx(run.total(name), rel=1e-9)

    return check


def levels(expected: Callable[[Run], tuple[float, float]]) -> Check:
    """Check that all values are between two."""

    def check(series: Sequence[Series], run: Run) -> None:
        low, high = expected(run)
        for one in series:
            assert all(low <= value <= high for _, value in one.points), one

    return check


def planned(model: str) -> Check:
    """Check the planned load, which ends with the duration."""

    def check(series: Sequence[Series], run: Run) -> None:
        wanted = run.job["load"]["model"] == model
        assert len(series) == wanted
        if wanted:
            assert max(value for _, value in series[0].points) == (
                USERS if model == "closed" else RATE
            )

    return check


def by_agent(check: Check) -> Check:
    """Check that there is one agent."""

    def check_all(series: Sequence[Series], run: Run) -> None:
        assert len(series) == 1
        assert series[0].labels["instance"]
        check(series, run)

    return check_all


def of_outputs(*allowed: float) -> Check:
    """Check that each output has values, and one of some at the end, if nothing runs then."""

    def check(series: Sequence[Series], run: Run) -> None:
        assert {one.labels["output"] for one in series} == set(run.job["outputs"])
        for one in series:
            assert all(value >= 0 for _, value in one.points)
            assert not allowed or not run.at_rest or one.last in allowed, one

    return check


def causes(series: Sequence[Series], run: Run) -> None:
    """Check that the causes are those of the timeline."""
    wanted = {cause for window in run.windows for cause in window["limited"]}
    limited = {one.labels["cause"] for one in series if 1 in {value for _, value in one.points}}
    assert len(series) > 5
    assert limited == wanted


def native_heat(series: Sequence[Series], run: Run) -> None:
    """Check the counts of native histograms, and their bounds."""
    (one,) = series
    assert_rates([float(bar["count"]) for _, bar in one.points], run, "results")
    buckets = [bucket for _, bar in one.points for bucket in bar["buckets"]]
    assert min(float(low) for _, low, _, _ in buckets) >= run.durations[0] * 0.99
    assert max(float(high) for _, _, high, _ in buckets) <= run.durations[-1] * 1.01


def classic_heat(series: Sequence[Series], run: Run) -> None:
    """Check the counts of classic histograms."""
    (every,) = [one for one in series if one.labels["le"] == "+Inf"]
    assert_rates([value for _, value in every.points], run, "results")
    rows = {one.labels["le"]: sum(value for _, value in one.points) for one in series}
    bounds = sorted(rows, key=float)
    assert [rows[bound] for bound in bounds] == sorted(rows.values())


DURATIONS = levels(lambda run: (run.durations[0] * 0.998, run.durations[-1] * 1.002))
# Iterations begin before the result and end after it.
ITERATIONS = levels(lambda run: (0.001, run.slowest_iteration * 1.002))
IN_FLIGHT = levels(lambda run: (0, max(window["max_in_flight"] for window in run.windows)))

PROMETHEUS: dict[str, Check] = {
    "Results A": number(lambda run: run.stats["results"]),
    "Error rate A": number(lambda run: run.stats["errors"] / run.stats["results"]),
    "Dropped calls A": number(lambda run: run.job["calls"]["dropped"]),
    "Percentiles of the run A": quantile(0.5),
    "Percentiles of the run B": quantile(0.95),
    "Percentiles of the run C": quantile(0.99),
    "Planned and actual load A": planned("open"),
    "Planned and actual load B": rate("started"),
    "Planned and actual load C": rate("succeeded"),
    "Planned and actual load D": rate("failed"),
    "Planned and actual load E": rate("dropped"),
    "Users and calls in flight A": planned("closed"),
    "Users and calls in flight B": IN_FLIGHT,
    "Results by agent A": by_agent(rate("results")),
    "Received bytes by agent A": by_agent(rate("bytes")),
    "Durations of results A": native_heat,
    "Percentiles of results A": DURATIONS,
    "Percentiles of results B": DURATIONS,
    "Percentiles of results C": DURATIONS,
    "Percentiles of iterations A": ITERATIONS,
    "Percentiles of iterations B": ITERATIONS,
    "Percentiles of iterations C": ITERATIONS,
    "Errors A": rate("errors"),
    "Errors B": rate("failed"),
    "Errors C": rate("invalid"),
    "Error rate over time A": levels(lambda run: (0, 1)),
    "Limits of the load generator A": causes,
    "Event loop lag of the agents A": by_agent(levels(lambda run: (0, 30))),
    "State of the outputs A": of_outputs(0),
    "Lag of the outputs A": of_outputs(),
    "Pending results A": of_outputs(0),
    "Delivered results A": of_outputs(),
    "Rejected and abandoned results A": of_outputs(0),
    "Rejected and abandoned results B": of_outputs(0),
    "Response times of the backends A": of_outputs(),
}


def classic_quantile(place: float) -> Check:
    """Check a percentile that is interpolated in a bucket of a classic histogram."""

    def check(series: Sequence[Series], run: Run) -> None:
        low, high = run.between(place)
        (one,) = series
        assert low / 2.5 <= one.last <= high * 2.5

    return check


BUCKETS = levels(lambda run: (0, run.durations[-1] * 2.5))
# Histograms are classic, whose percentiles are interpolated in buckets of half a decade.
VICTORIA_METRICS = PROMETHEUS | {
    "Percentiles of the run A": classic_quantile(0.5),
    "Percentiles of the run B": classic_quantile(0.95),
    "Percentiles of the run C": classic_quantile(0.99),
    "Durations of results A": classic_heat,
    **{f"Percentiles of results {one}": BUCKETS for one in "ABC"},
    **{f"Percentiles of iterations {one}": levels(lambda run: (0, 60)) for one in "ABC"},
}


def heat_row(row: int) -> Check:
    """Check the counts of a row of the heat map of InfluxDB."""
    bounds = [0.0, *(base * 10**power for power in range(-4, 1) for base in (1, 2, 5)), 10, 1e9]

    def check(series: Sequence[Series], run: Run) -> None:
        low, high = bounds[row : row + 2]
        wanted = sum(low <= duration < high for duration in run.durations)
        assert sum(value for one in series for _, value in one.points) == wanted

    return check


def of_seconds(name: str) -> Check:
    """Check a sum over the timeline in InfluxDB."""
    return number(lambda run: run.total(name))


def by_tag(check: Check, *tags: str) -> Check:
    """Check that the series are those of the rows of the statistics."""

    def check_all(series: Sequence[Series], run: Run) -> None:
        check(series, run)
        wanted = {tuple(str(row[tag]) for tag in tags) for row in run.stats["rows"]}
        assert {tuple(one.labels[tag] for tag in tags) for one in series} == wanted

    return check_all


def errors_by_tag(series: Sequence[Series], run: Run) -> None:
    """Check the errors of each kind of request."""
    found = {tuple(one.labels.values()): sum(value for _, value in one.points) for one in series}
    assert found == {
        (row["method"], str(row["status"]), row["url"]): row["errors"]
        for row in run.stats["rows"]
        if row["errors"]
    }


def requests(series: Sequence[Series], run: Run) -> None:
    """Check the table of requests."""
    rows = {(one.labels["method"], one.labels["url"], one.labels["status"]): one for one in series}
    assert len(rows) == len(run.stats["rows"])
    for row in run.stats["rows"]:
        shown = rows[row["method"], row["url"], str(row["status"])].last
        latency = row["latency"]
        assert shown["results"] == row["results"]
        assert shown["mean"] == pytest.approx(latency["mean"], rel=1e-6)
        assert shown["slowest"] == pytest.approx(latency["max"], rel=1e-6)
        assert shown["size"] == pytest.approx(row["bytes"] / row["results"], rel=1e-6)
        assert latency["min"] <= shown["50th"] <= shown["95th"] <= shown["99th"] <= shown["slowest"]


def messages(series: Sequence[Series], run: Run) -> None:
    """Check the table of errors."""
    errors = {
        (one["method"], one["url"], str(one["status"])): (one["count"], one["message"])
        for one in run.job["errors"]
        if one["url"]
    }
    assert errors == {
        (one.labels["method"], one.labels["url"], one.labels["status"]): (
            one.last["errors"],
            one.last["message"],
        )
        for one in series
    }


def limited(series: Sequence[Series], run: Run) -> None:
    """Check the causes of each second."""
    (one,) = series
    assert [value for _, value in one.points] == [
        " ".join(window["limited"]) for window in run.windows
    ]


def grown_to(name: str) -> Check:
    """Check that a sum over time ends with the whole."""

    def check(series: Sequence[Series], run: Run) -> None:
        (one,) = series
        values = [value for _, value in one.points]
        assert values == sorted(values)
        assert values[-1] == run.total(name)

    return check


INFLUXDB: dict[str, Check] = {
    "Results A": number(lambda run: run.stats["results"]),
    "Error rate A": number(lambda run: run.stats["errors"] / run.stats["results"]),
    "Dropped calls A": number(lambda run: run.job["calls"]["dropped"]),
    "Percentiles of the run A": quantile(0.5),
    "Percentiles of the run B": quantile(0.95),
    "Percentiles of the run C": quantile(0.99),
    "Planned and actual load A": planned("open"),
    "Planned and actual load B": counted("started"),
    "Planned and actual load C": counted("succeeded"),
    "Planned and actual load D": counted("failed"),
    "Planned and actual load E": counted("dropped"),
    "Users and calls in flight A": planned("closed"),
    "Users and calls in flight B": IN_FLIGHT,
    "Results by status A": by_tag(counted("results"), "status"),
    "Received bytes by URL A": by_tag(counted("bytes"), "method", "url"),
    **{f"Durations of results {chr(65 + row)}": heat_row(row) for row in range(17)},
    "Percentiles of results A": DURATIONS,
    "Percentiles of results B": DURATIONS,
    "Percentiles of results C": DURATIONS,
    "Percentiles of iterations A": ITERATIONS,
    "Percentiles of iterations B": ITERATIONS,
    "Percentiles of iterations C": ITERATIONS,
    "95th percentile by URL A": by_tag(DURATIONS, "method", "url"),
    "Requests of the run A": requests,
    "Errors by method, URL and status A": errors_by_tag,
    "Errors of the run A": messages,
    "Limits of the load generator A": limited,
    "Measured and stored results A": grown_to("results"),
    "Measured and stored results B": grown_to("results"),
    "Measured and stored results of the run A": of_seconds("results"),
    "Measured and stored results of the run B": of_seconds("results"),
}
