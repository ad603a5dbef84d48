"""Reports built from what real agents answered."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import structs
from peers.reports import answers, part

from goloagent.core.stats.cpu_usage import CpuUsage, RunCpu
from goloagent.core.stats.hdr import decode
from goloagent.core.stats.summary import Latency
from goloagent.report.builder import build
from goloagent.report.model import Report


def test_one_agent() -> None:
    """The report has the figures of the agent."""
    recorded, report = answers(), build([part()])
    job, stats = recorded["job"], recorded["stats"]
    assert (report.run, report.name, report.state) == (job["id"], "shop", "finished")
    assert (report.verdict is not None, report.tags) == (True, {"release": "1.4.2"})
    assert structs.asdict(report.calls) == job["calls"]
    assert report.results.errors == stats["errors"] > 0
    assert {**structs.asdict(report.results), **job["results"]} == structs.asdict(report.results)
    duration = report.latency.duration
    assert duration is not None
    assert (duration.count, duration.p95) == (job["results"]["valid"], stats["latency"]["p95"])
    assert [url.url for url in report.urls] == [url["url"] for url in stats["urls"]]
    assert [error.message for error in report.errors] == ["Service Unavailable"] * 2
    assert [change["rate"] for change in report.changes] == [120]
    assert (report.agents[0].share, report.missing) == (1, [])


def test_its_timeline() -> None:
    """It has the agent's windows, and their histograms in wider buckets."""
    recorded, report = answers()["timeline"]["windows"], build([part()])
    assert [round(window.at) for window in report.timeline] == list(range(len(recorded)))
    for window, before in zip(report.timeline, recorded, strict=True):
        assert (window.started, window.dropped) == (before["started"], before["dropped"])
        if window.duration is None:
            assert before["duration"] is None
            continue
        assert window.duration.p95 == pytest.approx(before["duration"]["p95"], rel=1e-3)
        counts = window.duration.counts
        assert sum(count for count in counts if count > 0) == window.results
        assert check_buckets(window.duration.first, counts, before["duration"]["histogram"])


def check_buckets(first: int, counts: list[int], encoded: str) -> bool:
    """Return whether each value of an encoded histogram is in the bucket that counts it."""
    expected: list[int] = []
    bucket = first
    for count in counts:
        if count > 0:
            expected += [bucket] * count
        bucket += 1 if count > 0 else -count
    values = [middle for middle, _, count in decode(encoded).counts() for _ in range(count)]
    return len(values) == len(expected) and all(
        (32 + bucket % 32) * 2 ** (bucket // 32 + 4)
        <= value
        <= (33 + bucket % 32) * 2 ** (bucket // 32 + 4)
        for bucket, value in zip(expected, values, strict=True)
    )


def test_two_agents() -> None:
    """Counts are added, histograms merged, windows aligned by second, moments those of both."""
    one = build([part()])
    other = part("b:8081", run={"id": "run-1"}, ended_at="2026-11-28T16:34:50Z", state="failed")
    both = build([part("a:8081", run={"id": "run-1"}), other])
    assert (both.run, both.state) == ("run-1", "failed")
    assert both.started_at == one.started_at
    assert both.ended_at is not None
    assert one.ended_at is not None
    assert both.ended_at > one.ended_at + timedelta(seconds=1)
    assert both.calls.started == 2 * one.calls.started
    assert both.results.errors == 2 * one.results.errors
    assert [agent.share for agent in both.agents] == [0.5, 0.5]
    twice, once = both.latency.duration, one.latency.duration
    assert twice is not None
    assert once is not None
    assert twice.count == 2 * once.count
    assert (twice.p95, twice.max, twice.min) == (once.p95, once.max, once.min)
    assert twice.mean == pytest.approx(once.mean)
    assert [url.results for url in both.urls] == [2 * url.results for url in one.urls]
    assert [url.latency for url in both.urls] == [_bare(url.latency) for url in one.urls]
    assert [error.count for error in both.errors] == [2 * error.count for error in one.errors]
    assert len(both.timeline) == len(one.timeline)
    for two, window in zip(both.timeline, one.timeline, strict=True):
        assert (two.started, two.planned) == (2 * window.started, 2 * window.planned)
        assert two.seconds == window.seconds
        if two.duration is None or window.duration is None:
            assert two.duration is window.duration
            continue
        assert two.duration.count == 2 * window.duration.count
        assert two.duration.p99 == pytest.approx(window.duration.p99, rel=1e-3)
    assert both.changes == one.changes


def _bare(latency: Latency | None) -> Latency | None:
    return latency and structs.replace(latency, histogram=None)


def test_the_verdict_of_several() -> None:
    """Without one of all together it is that of the first that failed, and null if one has none."""
    failed = answers()["job"]["verdict"]
    passed = {"passed": True, "code": None, "reason": None, "checks": [], "missing": []}
    assert _passed(build([part(verdict=passed), part(verdict=passed)])) is True
    assert _passed(build([part(verdict=passed), part(verdict=failed)])) is False
    assert _passed(build([part(verdict=passed), part(verdict=None)])) is None


def _passed(report: Report) -> bool | None:
    return None if report.verdict is None else report.verdict.passed


def test_a_long_run() -> None:
    """Its windows are merged to at most 600, none of which is lost."""
    recorded = answers()
    [window, *_] = recorded["timeline"]["windows"]
    windows = [{**window, "at": float(second), "seconds": 1.0} for second in range(3_600)]
    long = structs.replace(part(), timeline={**recorded["timeline"], "windows": windows})
    report = build([long])
    assert len(report.timeline) == 600
    assert sum(window.results for window in report.timeline) == 3_600 * window["results"]
    assert {window.seconds for window in report.timeline} == {6.0}


def test_many_rows() -> None:
    """Those beyond the first are counted together."""
    recorded = answers()
    [url, *_] = recorded["stats"]["urls"]
    urls = [{**url, "url": f"/{number}", "results": 900 - number} for number in range(800)]
    report = build([structs.replace(part(), stats={**recorded["stats"], "urls": urls})])
    assert [len(report.urls), report.urls[0].url, report.urls[-1].url] == [500, "/0", "/499"]
    assert report.other_urls is not None
    assert report.other_urls.results == sum(900 - number for number in range(500, 800))
    assert report.other_urls.latency is not None
    long = [{**url, "url": f"/{number}/" + 2_000 * "x"} for number in range(400)]
    report = build([structs.replace(part(), stats={**recorded["stats"], "urls": long})])
    assert sum(len(url.url) for url in report.urls) <= 100_000


def test_many_limits() -> None:
    """The first ones of the fleet stay, and the report says that there are more."""
    times = [{"cause": "ports", "from": float(n), "to": n + 0.5} for n in range(700)]
    report = build([part("a", limited=times), part("b", limited=times)])
    assert len(report.limited) == 1_000
    assert {one.agent for one in report.limited if one.begin < 500} == {"a", "b"}
    assert [agent.limited for agent in report.agents] == [350, 350]
    assert report.missing == ["Of 1400 limited times, the report has the first 1000."]


def test_an_agent_without_log_and_timeline() -> None:
    """The report says what is not known."""
    report = build([structs.replace(part(), stats=None, timeline=None)])
    assert report.latency.duration is None
    assert (report.timeline, report.urls) == ([], [])
    assert report.missing == ["The statistics are not known.", "There is no timeline."]


def test_the_cpu_usage() -> None:
    """It is that of each agent; one of an older version has none."""
    both = {"agent": {"mean": 0.1, "max": 0.25}, "load_test": {"mean": 1.5, "max": 1.75}}
    report = build([part("a", cpu=both), part("b", cpu={**both, "load_test": None}), part("c")])
    usage = CpuUsage(0.1, 0.25)
    assert [agent.cpu for agent in report.agents] == [
        RunCpu(usage, CpuUsage(1.5, 1.75)),
        RunCpu(usage, None),
        None,
    ]


@pytest.mark.parametrize("damage", ["calls", "verdict", "limited", "cpu"])
def test_an_answer_of_another_form(damage: str) -> None:
    """It is refused with a sentence."""
    with pytest.raises(ValueError, match="unexpected form"):
        build([part(**{damage: 3})])
