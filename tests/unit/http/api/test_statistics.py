"""The statistics of queued, running and finished jobs."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock
from unit.http.in_memory import NOW, Agent, Connection, Response

from goloagent.concurrency.cooperation import TURN_SECONDS
from goloagent.core.stats.request_stats import MAX_ROWS
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.jobs.job import Job, State
from goloagent.jobs.spec import JobSpec
from goloagent.results.parser import parse
from goloagent.wal.run_log import RunLogWriter

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
    "rows": [],
    "rows_total": 0,
    "other": None,
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


def get(agent: Agent, connection: Connection, query: str = "", **headers: str) -> Response:
    """Return the response to another request of a connection."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = [f"GET /jobs/one/stats{query} HTTP/1.1", "Host: localhost", *lines, "", ""]
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
