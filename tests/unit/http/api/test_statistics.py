"""The statistics of queued, running and finished jobs."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from typing import Any

import attrs
import pytest
from hdrh.histogram import HdrHistogram
from twisted.internet.task import Clock
from unit.http.in_memory import NOW, Agent, Connection, Response

from goloagent.concurrency.cooperation import TURN_SECONDS
from goloagent.core.job_spec import JobSpec
from goloagent.core.stats.request_stats import MAX_ROWS
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.jobs.job import Job, State
from goloagent.results.parser import parse
from goloagent.wal.run_log import RunLogWriter
from goloagent.wal.stats_file import write_statistics

RESULT = (
    b'{"timestamp":"2026-01-02T03:04:05Z","method":"GET","url":"http://shop/%d","status":200,'
    b'"size":7,"duration":2000000000}\n'
)
STATS = b"GET /jobs/one/stats HTTP/1.1\r\nHost: localhost\r\n\r\n"
NOTHING = {
    "results": 0,
    "errors": 0,
    "bytes": 0,
    "latency": None,
    "rate": None,
    "first": None,
    "last": None,
    "rows": [],
    "rows_total": 0,
    "other": None,
    "urls": [],
    "urls_total": 0,
    "other_urls": None,
    "errors_by_reason": [],
    "other_errors": 0,
    "failed_calls": 0,
    "calls": {"iteration": None, "service": None, "schedule_lag": None},
}


def put(agent: Agent, state: State, logged: bool = False) -> Job:
    """Add a job to the store."""
    job = Job("one", JobSpec("shop", 1, 1, "b"), NOW, state, has_log=logged)
    job.started_at = None if state is State.QUEUED else NOW
    agent.store.add(job)
    return job


def check(response: Response, results: int) -> None:
    """Check that the response has `count` results, each in its own row."""
    assert response.status == 200, response
    statistics = json.loads(response.body)
    assert (statistics["results"], statistics["errors"], statistics["bytes"]) == (
        results,
        0,
        7 * results,
    )
    assert statistics["latency"]["max"] == 2
    assert len(statistics["rows"]) == results
    assert statistics["rows"][0]["url"] == "http://shop/0"
    assert statistics["rows"][0]["latency"]["p99"] == 2


@pytest.mark.parametrize("state", [State.QUEUED, State.CANCELLED])
def test_a_job_that_never_ran(agent: Agent, state: State) -> None:
    """It has no results."""
    put(agent, State.QUEUED).state = state
    assert json.loads(agent.request(STATS).body) == NOTHING


def test_a_running_job(agent: Agent) -> None:
    """It has its present results."""
    put(agent, State.RUNNING)
    statistics = RunStatistics()
    agent.running = lambda job: statistics
    statistics.add(parse(RESULT % 0 + RESULT % 1).results)
    check(agent.request(STATS), 2)


class SlowClock(Clock):
    """A clock that advances by a millisecond whenever it is read, and counts turns."""

    count = 0

    def seconds(self) -> float:
        self.rightNow += 0.001
        return self.rightNow

    def callLater(self, when: float, *more: Any, **most: Any) -> Any:
        self.count += when == 0
        return super().callLater(when, *more, **most)


def test_many_rows_take_turns(agent: Agent) -> None:
    """Other events are handled while many rows are summarized."""
    agent.clock = clock = SlowClock()
    put(agent, State.RUNNING)
    statistics = RunStatistics()
    agent.running = lambda job: statistics
    statistics.add(parse(b"".join(RESULT % n for n in range(MAX_ROWS))).results)
    connection = agent.connect()
    connection.send(STATS)
    assert clock.count > 0.9 * MAX_ROWS * 0.001 / TURN_SECONDS
    check(connection.response(), MAX_ROWS)


def run_with(agent: Agent, *lines: bytes) -> RunStatistics:
    """Add a running job to the store, and return its statistics."""
    put(agent, State.RUNNING)
    statistics = RunStatistics()
    agent.running = lambda job: statistics
    statistics.add(parse(b"".join(lines)).results)
    return statistics


def get(
    agent: Agent, connection: Connection, query: str = "", path: str = "stats", **headers: str
) -> Response:
    """Return the response to another request of a connection."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = [f"GET /jobs/one/{path}{query} HTTP/1.1", "Host: localhost", *lines, "", ""]
    connection.transport.clear()
    connection.send("\r\n".join(head).encode())
    agent.clock.advance(0)
    return connection.response()


def test_they_are_cached_for_a_second(agent: Agent) -> None:
    """Requests within a second get the same figures."""
    statistics = run_with(agent, RESULT % 0)
    connection = agent.connect()
    check(get(agent, connection), 1)
    statistics.add(parse(RESULT % 1).results)
    agent.clock.advance(0.9)
    check(get(agent, connection), 1)
    agent.clock.advance(0.2)
    check(get(agent, connection), 2)


def test_the_cache_of_a_run_ends_with_it(agent: Agent) -> None:
    """A finished job has its final figures at once."""
    run_with(agent, RESULT % 0)
    agent.logs.mkdir()
    log = RunLogWriter.create(agent.logs, "shop", "one")
    log.append_stdout(RESULT % 0 + RESULT % 1)
    log.close()
    connection = agent.connect()
    check(get(agent, connection), 1)
    [job] = agent.store.unsettled()
    job.state, job.has_log = State.FINISHED, True
    check(get(agent, connection), 2)


SLOW = RESULT.replace(b"2000000000", b"9000000000")
FAILED = RESULT.replace(b"200,", b"500,")


@pytest.mark.parametrize(
    ("query", "urls"),
    [
        ("", ["/1", "/2", "/0"]),
        ("?rows=2", ["/1", "/2"]),
        ("?rows=0", []),
        ("?sort=errors&rows=1", ["/2"]),
        ("?sort=p95&rows=1", ["/0"]),
        ("?sort=p95&order=asc", ["/1", "/2", "/0"]),
        ("?sort=url&order=asc", ["/0", "/1", "/2"]),
        ("?sort=status&order=asc&rows=2", ["/1", "/0"]),
        ("?sort=bytes", ["/1", "/2", "/0"]),
    ],
)
def test_rows_are_sorted_and_limited(agent: Agent, query: str, urls: list[str]) -> None:
    """The response has the requested rows, and their total."""
    run_with(agent, SLOW % 0, *3 * [RESULT % 1], *2 * [FAILED % 2])
    shown = json.loads(get(agent, agent.connect(), query).body)
    assert [row["url"].removeprefix("http://shop") for row in shown["rows"]] == urls
    assert (shown["results"], shown["errors"], shown["rows_total"]) == (6, 2, 3)


@pytest.mark.parametrize("query", ["?rows=1001", "?rows=-1", "?sort=x", "?order=x", "?row=1"])
def test_invalid_rows(agent: Agent, query: str) -> None:
    """They are 400 with the reason."""
    put(agent, State.QUEUED)
    response = get(agent, agent.connect(), query)
    assert response.status == 400
    assert response.body.startswith(b"invalid query: ")


def test_the_etag(agent: Agent) -> None:
    """It is 304 while the figures are the same."""
    statistics = run_with(agent, RESULT % 0)
    connection = agent.connect()
    etag = get(agent, connection).headers["ETag"]
    agent.clock.advance(2)
    again = get(agent, connection, If_None_Match=etag)
    assert (again.status, again.body) == (304, b"")
    statistics.add(parse(RESULT % 1).results)
    agent.clock.advance(2)
    check(get(agent, connection, If_None_Match=etag), 2)


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip", True),
        ("deflate, gzip;q=0.5, br", True),
        ("GZIP", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
        ("br", False),
        ("identity", False),
    ],
)
def test_gzip(agent: Agent, accepted: str, compressed: bool) -> None:
    """A long response is compressed, and the same."""
    run_with(agent, *(RESULT % n for n in range(100)))
    plain = get(agent, agent.connect())
    response = get(agent, agent.connect(), Accept_Encoding=accepted)
    assert plain.headers["Vary"] == response.headers["Vary"] == "Accept-Encoding"
    assert response.headers.get("Content-Encoding") == ("gzip" if compressed else None)
    if compressed:
        assert len(response.body) * 6 < len(plain.body)
        response = attrs.evolve(response, body=gzip.decompress(response.body))
    assert response.body == plain.body


def test_the_cache_is_bounded(agent: Agent) -> None:
    """It has at most two views of one job."""
    run_with(agent, *(RESULT % n for n in range(1000)))
    connection = agent.connect()
    get(agent, connection)
    tracemalloc.start()
    for rows in range(300):
        get(agent, connection, f"?rows={1000 - rows}")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * 1024 * 1024


def _latencies(member: Any) -> list[dict[str, Any]]:
    """Return all latencies in a JSON text."""
    if isinstance(member, list):
        return [found for each in member for found in _latencies(each)]
    if not isinstance(member, dict):
        return []
    if "p999" in member:
        return [member]
    return [found for each in member.values() for found in _latencies(each)]


def finish(agent: Agent, *lines: bytes) -> None:
    """End the job, whose log has these lines."""
    agent.logs.mkdir()
    log = RunLogWriter.create(agent.logs, "shop", "one")
    log.append_stdout(b"".join(lines))
    log.close()
    [job] = agent.store.unsettled()
    job.state, job.has_log = State.FINISHED, True


@pytest.mark.parametrize("is_over", [False, True])
def test_histograms(agent: Agent, is_over: bool) -> None:
    """Each latency has its own on request, as HdrHistogram reads it; else none."""
    lines = SLOW % 0, RESULT % 0, FAILED % 1
    statistics = run_with(agent, *lines)
    statistics.calls.iteration.record([5_000_000])
    if is_over:
        finish(agent, *lines)
    connection = agent.connect()
    plain = json.loads(get(agent, connection).body)
    shown = json.loads(get(agent, connection, "?histograms=hdr").body)
    found = _latencies(shown)
    assert len(found) == (1 + 2 + 2) + (not is_over)
    for latency in found:
        histogram = HdrHistogram.decode(latency.pop("histogram"))
        assert histogram.get_max_value() / 1e9 == pytest.approx(latency["max"], rel=0.001)
        assert histogram.get_value_at_percentile(50) / 1e9 == pytest.approx(
            latency["p50"], rel=0.001
        )
    assert plain == shown
    # Both are cached apart.
    assert "histogram" not in get(agent, connection).body.decode()


@pytest.mark.parametrize("is_over", [False, True])
@pytest.mark.parametrize(
    ("metric", "maximum", "count"), [("", 9000.0, 3), ("?metric=service", 7.0, 1)]
)
def test_a_distribution(
    agent: Agent, is_over: bool, metric: str, maximum: float, count: int
) -> None:
    """It is that of the results, or of the calls, in milliseconds."""
    lines = SLOW % 0, RESULT % 0, FAILED % 1
    statistics = run_with(agent, *lines)
    statistics.calls.service.record([7_000_000])
    if is_over:
        finish(agent, *lines)
        write_statistics(agent.logs, "shop", "one", statistics.summary(encoded=True))
    response = get(agent, agent.connect(), metric, path="stats.hgrm")
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    *_, most, _ = response.body.decode().splitlines()
    assert most == f"#[Max     = {maximum:12.3f}, Total count    = {count:12d}]"


def test_a_distribution_that_is_not_known(agent: Agent) -> None:
    """The times of calls are 404 if only the log is left; those of no calls are empty."""
    run_with(agent, RESULT % 0)
    finish(agent, RESULT % 0)
    connection = agent.connect()
    empty = get(agent, connection, "?metric=iteration", path="stats.hgrm")
    assert empty.status == 200
    assert b"Total count    =            0]" in empty.body
    job = agent.store.get("one")
    assert job is not None
    job.calls.ok = 3
    response = get(agent, connection, "?metric=iteration", path="stats.hgrm")
    assert response.status == 404
    assert b"the iteration times of job one are lost" in response.body
    assert get(agent, connection, "?metric=x", path="stats.hgrm").status == 400


def test_urls_and_reasons(agent: Agent) -> None:
    """A URL has a total with its share of errors; errors have their reasons."""
    refused = RESULT.replace(b"}", b',"error":"refused"}')
    run_with(agent, RESULT % 0, FAILED % 0, FAILED % 0, RESULT % 1, refused % 1)
    shown = json.loads(get(agent, agent.connect(), "?rows=1&sort=errors").body)
    assert [(url["url"], url["error_share"]) for url in shown["urls"]] == [
        ("http://shop/0", pytest.approx(2 / 3))
    ]
    assert (shown["urls_total"], shown["rows_total"]) == (2, 3)
    assert shown["errors_by_reason"] == [
        {"method": "GET", "url": "http://shop/0", "status": 500, "message": "", "count": 2},
        {"method": "GET", "url": "http://shop/1", "status": 200, "message": "refused", "count": 1},
    ]
    assert (shown["first"], shown["rate"]) == ("2026-01-02T03:04:05Z", None)


def test_a_finished_job(agent: Agent) -> None:
    """Its statistics are those of its log, even if its run still exists."""
    put(agent, State.FINISHED, logged=True)
    agent.running = lambda job: RunStatistics()
    agent.logs.mkdir()
    log = RunLogWriter.create(agent.logs, "shop", "one")
    log.append_stdout(RESULT % 0)
    log.close()
    check(agent.request(STATS), 1)


@pytest.mark.parametrize("logged", [False, True])
def test_a_removed_log(agent: Agent, logged: bool) -> None:
    """It is 404."""
    agent.logs.mkdir()
    put(agent, State.FINISHED, logged)
    assert agent.request(STATS).status == 404


def test_an_unknown_job(agent: Agent) -> None:
    """It is 404."""
    assert agent.request(STATS.replace(b"one", b"two")).status == 404
