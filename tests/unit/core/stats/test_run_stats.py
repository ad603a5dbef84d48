"""The statistics of a run and of its last second, live and from the log."""

from __future__ import annotations

import json
import random
import tracemalloc

import msgspec
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from unit.core.stats.results import result
from unit.results.records import ORDINARY, lines

from goloagent.core.stats.run_stats import RunStatistics
from goloagent.core.stats.summary import Latency, Summary
from goloagent.core.thresholds import Selector
from goloagent.results.line_counter import LineCounter
from goloagent.wal.stats_cache import rebuild


def _lines(durations: list[int]) -> bytes:
    return b"".join(
        b'{"timestamp":"2024-01-01T00:00:00Z","status":200,"duration":%d}\n' % duration
        for duration in durations
    )


def _live(pieces: list[bytes]) -> tuple[LineCounter, RunStatistics]:
    statistics = RunStatistics()
    counter = LineCounter(observe=statistics.add)
    for piece in pieces:
        counter.feed(piece)
    counter.close()
    return counter, statistics


@given(items=st.lists(lines, max_size=8), ended=st.booleans(), data=st.data())
def test_any_split_of_the_stream(items: list[bytes], ended: bool, data: st.DataObject) -> None:
    """The same stream, whole, in pieces or from the log, gives the same statistics."""
    stdout = b"\n".join(items) + b"\n" * ended
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stdout)), max_size=8)))
    ends = [*cuts, len(stdout)]
    pieces = [stdout[a:b] for a, b in zip([0, *cuts], ends, strict=True)]
    counter, statistics = _live(pieces)
    summary = statistics.summary()
    assert summary.results == counter.valid
    assert sum(row.results for row in summary.rows) == counter.valid
    assert _live([stdout])[1].summary() == summary
    assert rebuild(lambda offset, count: stdout[offset : offset + min(count, 100)]).summary() == (
        summary
    )


@given(parts=st.lists(st.lists(st.integers(0, 10**10), max_size=20), max_size=6))
def test_windows_do_not_change_the_totals(parts: list[list[int]]) -> None:
    """Ending a window does not change the summary of the run."""
    ticked, whole = RunStatistics(), RunStatistics()
    for part in parts:
        records = [result(duration=duration) for duration in part]
        ticked.add(records)
        whole.add(records)
        ticked.rotate_window(1.0)
    assert ticked.summary() == whole.summary()


def test_progress() -> None:
    """Rates are those of the last full second; totals are those of the run."""
    statistics = RunStatistics()
    statistics.add([result(duration=5_000_000_000)] * 10)
    statistics.rotate_window(1.0)
    statistics.add([result(duration=1000)] * 3 + [result(duration=3000, status=500)])
    statistics.rotate_window(2.0)
    statistics.add([result(duration=9_000_000_000)])
    progress = statistics.progress()
    assert (progress.results, progress.errors) == (15, 1)
    assert (progress.results_per_second, progress.errors_per_second) == (2.0, 0.5)
    assert progress.last_second is not None
    assert (progress.last_second.p50, progress.last_second.max) == (1e-6, 3e-6)
    assert progress.whole_run is not None
    assert (progress.whole_run.min, progress.whole_run.max) == (1e-6, 9.0)


def test_progress_of_a_run_without_results() -> None:
    """A run or a second without results has no latency."""
    statistics = RunStatistics()
    assert statistics.progress().whole_run is None
    statistics.add([result()])
    statistics.rotate_window(1.0)
    statistics.rotate_window(1.0)
    progress = statistics.progress()
    assert (progress.results_per_second, progress.last_second) == (0.0, None)
    assert progress.whole_run is not None


def test_a_summary() -> None:
    """Latency is in seconds, with percentiles by nearest rank."""
    statistics = _live([_lines([number * 1_000_000 for number in range(1, 1001)])])[1]
    latency = statistics.summary().latency
    assert latency is not None
    assert (latency.min, latency.mean, latency.max) == (0.001, 0.5005, 1.0)
    percentiles = (latency.p50, latency.p90, latency.p95, latency.p99, latency.p999)
    assert percentiles == pytest.approx((0.5, 0.9, 0.95, 0.99, 0.999), rel=0.001)


def test_iter_summary() -> None:
    """Results added between two rows are in the totals."""
    statistics = RunStatistics()
    statistics.add([result(url=url) for url in "abc"])
    steps = statistics.iter_summary()
    assert next(steps) is None
    statistics.add([result(url=url) for url in "abcd"])
    *nothing, summary = steps
    assert set(nothing) == {None}
    assert summary is not None
    assert (summary.results, [row.results for row in summary.rows]) == (7, [1, 2, 2])


def test_a_summary_is_json() -> None:
    """It is encoded as documented and decodes to itself, also without results."""
    statistics = _live([ORDINARY])[1]
    summary = statistics.summary()
    latency = dict.fromkeys(set(Latency.__struct_fields__) - {"histogram"}, 0.001234567)
    written = msgspec.json.encode(summary)
    assert json.loads(written) == {
        "results": 1,
        "errors": 0,
        "bytes": 5120,
        "rate": None,
        "first": "2024-01-01T10:34:56.123456Z",
        "last": "2024-01-01T10:34:56.123456Z",
        "latency": latency,
        "rows": [
            {
                "method": "GET",
                "url": "http://localhost/a?x=1&y=2",
                "status": 200,
                "results": 1,
                "errors": 0,
                "bytes": 5120,
                "latency": latency,
            }
        ],
        "other": None,
        "urls": [
            {
                "method": "GET",
                "url": "http://localhost/a?x=1&y=2",
                "results": 1,
                "errors": 0,
                "error_share": 0.0,
                "bytes": 5120,
                "latency": latency,
            }
        ],
        "other_urls": None,
        "errors_by_reason": [],
        "other_errors": 0,
        "failed_calls": 0,
        "calls": {"iteration": None, "service": None, "schedule_lag": None},
    }
    empty = RunStatistics().summary()
    for each in (summary, empty):
        assert msgspec.json.decode(msgspec.json.encode(each), type=Summary) == each


def test_odd_members() -> None:
    """The last of duplicate members counts; a null counts as missing."""
    odd = (
        b'{"timestamp":"2024-01-01T00:00:00Z","status":500,"status":201,"STATUS":404,'
        b'"url":"\\ud800","method":null,"size":3,"size":7,"duration":2000,"error":{"a":[null]}}'
    )
    plain = b'{"timestamp":"2024-01-01T00:00:00Z","duration":null,"error":null,"error":"x"}'
    rows = _live([odd + b"\n" + plain])[1].summary().rows
    members = [
        (row.method, row.url, row.status, row.results, row.errors, row.bytes) for row in rows
    ]
    assert members == [("", "", 0, 1, 1, 0), ("", "\ufffd", 201, 1, 1, 7)]
    assert [row.latency.max for row in rows if row.latency] == [0.0, 2e-6]


RESULTS = st.builds(
    lambda url, status, error, duration, second: (
        b'{"timestamp":"2026-01-02T03:04:%02dZ","method":"GET","url":"/%d","status":%d,'
        b'"size":3,"duration":%d,"error":%b}\n' % (second, url, status, duration, error)
    ),
    st.integers(0, 3),
    st.sampled_from([200, 200, 404, 500]),
    st.sampled_from([b"null", b"null", b'"EOF"', b'""', b"{}", b'"\\u00e9"']),
    st.integers(0, 10**9),
    st.integers(0, 59),
)


@given(
    lines=st.lists(RESULTS, max_size=40),
    calls=st.lists(st.sampled_from(["refused", "timeout"]), max_size=5),
    block=st.integers(1, 3000),
)
def test_live_statistics_are_those_of_the_log(
    lines: list[bytes], calls: list[str], block: int
) -> None:
    """Errors and URLs too, and their sums are the totals, of which the log lacks failed calls."""
    stdout = b"".join(lines)
    _, live = _live([stdout[start : start + block] for start in range(0, len(stdout), block)])
    live.rotate_window(1.0)
    rebuilt = rebuild(lambda offset, count: stdout[offset : offset + min(count, 999)])
    assert live.summary(encoded=True) == rebuilt.summary(encoded=True)
    for text in calls:
        live.add_failed_calls([text])
    summary = live.summary()
    for name in ("results", "errors", "bytes"):
        total = getattr(summary, name)
        assert sum(getattr(url, name) for url in summary.urls) == total
        assert sum(getattr(row, name) for row in summary.rows) == total
    listed = sum(error.count for error in summary.errors_by_reason)
    assert listed + summary.other_errors == summary.errors + len(calls)
    assert summary.failed_calls == len(calls)
    if lines:
        assert summary.first is not None
        assert summary.last is not None
        seconds = (summary.last - summary.first).total_seconds()
        assert summary.rate == (len(lines) / seconds if seconds else None)


def test_twenty_parts_are_the_whole() -> None:
    """The histograms of 20 agents, added by HdrHistogram's library, are those of one."""
    draw = random.Random(7)
    results = [
        result(url=f"/{number % 3}", duration=int(draw.lognormvariate(15, 2)))
        for number in range(20_000)
    ]
    agents = [RunStatistics() for _ in range(20)]
    for number, agent in enumerate(agents):
        agent.add(results[number::20])
    single = RunStatistics()
    single.add(results)
    whole, parts = single.summary(True), [agent.summary(True) for agent in agents]

    def figures(summary: Summary) -> dict[str, Latency | None]:
        rows = {row.url: row.latency for row in summary.rows}
        urls = {f"total {url.url}": url.latency for url in summary.urls}
        return {"all": summary.latency, **rows, **urls}

    for name, latency in figures(whole).items():
        assert latency is not None
        added = HdrHistogram(1, 2**63 - 1, 3)
        for part in parts:
            of_part = figures(part)[name]
            assert of_part is not None
            added.add(HdrHistogram.decode(of_part.histogram))
        expected = HdrHistogram.decode(latency.histogram)
        assert added.get_total_count() == expected.get_total_count() > 6000
        assert list(added.counts) == list(expected.counts)
        count = added.get_total_count()
        for thousandths, seconds in [(500, latency.p50), (990, latency.p99), (999, latency.p999)]:
            rank = -(-thousandths * count // 1000)
            found = added.get_value_at_percentile(100 * rank / count) / 1e9
            assert found == pytest.approx(seconds, rel=0.001)


def test_ever_new_urls_and_messages_take_constant_memory() -> None:
    """A load test that puts a number into each URL and error does not fill the memory."""
    statistics = RunStatistics((Selector((("url", "*/7*"),)),))

    def feed(start: int) -> None:
        for number in range(start, start + 20_000, 100):
            records = [
                result(url=f"http://shop/{each}", status=500, error=Raw(b'"failed %d"' % each))
                for each in range(number, number + 100)
            ]
            statistics.add(records)
        statistics.rotate_window(1.0)

    feed(0)
    tracemalloc.start()
    feed(20_000)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 2 * 1024 * 1024
    summary = statistics.summary()
    assert (len(summary.rows), len(summary.urls), len(summary.errors_by_reason)) == (
        1000,
        1000,
        100,
    )
    assert (summary.errors, summary.other_errors) == (40_000, 40_000 - 100)
    assert summary.other_urls is not None
    assert summary.other_urls.results == 39_000
