"""Statistics over HTTP: of jobs that wait, run and are over."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.task import Clock
from unit.web.in_memory import NOW, Agent, Answer

from goloagent.jobs.job import Job, State
from goloagent.jobs.spec import JobSpec
from goloagent.results.output import read
from goloagent.results.runlog import RunLog
from goloagent.statistics.run import RunStatistics
from goloagent.statistics.table import MAX_ROWS
from goloagent.web.statistics import ROWS_PER_TURN

RESULT = (
    b'{"timestamp":"2026-01-02T03:04:05Z","method":"GET","url":"http://shop/%d","status":200,'
    b'"size":7,"duration":2000000000}\n'
)
STATS = b"GET /jobs/one/stats HTTP/1.1\r\nHost: localhost\r\n\r\n"
NOTHING = {"results": 0, "errors": 0, "bytes": 0, "latency": None, "rows": [], "other": None}


def put(agent: Agent, state: State, logged: bool = False) -> Job:
    """Put a job into the store."""
    job = Job("one", JobSpec("shop", 1, 1, "b"), NOW, state, logged=logged)
    job.started_at = None if state is State.QUEUED else NOW
    agent.store.add(job)
    return job


def check(answer: Answer, results: int) -> None:
    """Check that the answer has so many results, each in a row of its own."""
    assert answer.status == 200, answer
    statistics = json.loads(answer.body)
    assert (statistics["results"], statistics["errors"], statistics["bytes"]) == (
        results,
        0,
        7 * results,
    )
    assert statistics["latency"]["max"] == 2
    assert len(statistics["rows"]) == results
    assert statistics["rows"][0]["url"] == "http://shop/0"
    assert statistics["rows"][0]["latency"]["p99"] == 2


def test_a_job_that_waits(agent: Agent) -> None:
    """It has no results yet."""
    put(agent, State.QUEUED)
    assert json.loads(agent.ask(STATS).body) == NOTHING


def test_a_job_that_was_cancelled_in_the_queue(agent: Agent) -> None:
    """It never had results."""
    put(agent, State.QUEUED).state = State.CANCELLED
    assert json.loads(agent.ask(STATS).body) == NOTHING


def test_the_job_that_runs(agent: Agent) -> None:
    """It has the results that came until now."""
    put(agent, State.RUNNING)
    statistics = RunStatistics()
    agent.running = lambda job: statistics
    statistics.add(read(RESULT % 0 + RESULT % 1).results)
    check(agent.ask(STATS), 2)


class Turns(Clock):
    """A clock that counts what waits for another turn of the reactor."""

    count = 0

    def callLater(self, when: float, *more: Any, **most: Any) -> Any:
        self.count += when == 0
        return super().callLater(when, *more, **most)


def test_many_rows_take_turns(agent: Agent) -> None:
    """The job goes on while its rows are summed up."""
    agent.clock = turns = Turns()
    put(agent, State.RUNNING)
    statistics = RunStatistics()
    agent.running = lambda job: statistics
    statistics.add(read(b"".join(RESULT % n for n in range(MAX_ROWS))).results)
    connection = agent.connect()
    connection.send(STATS)
    assert connection.received == b""
    turns.advance(0)
    assert turns.count == MAX_ROWS / ROWS_PER_TURN
    check(connection.answer(), MAX_ROWS)


def test_a_job_that_is_over(agent: Agent) -> None:
    """Its statistics are those of its log, even while something of its run is left."""
    put(agent, State.FINISHED, logged=True)
    agent.running = lambda job: RunStatistics()
    agent.logs.mkdir()
    log = RunLog.create(agent.logs, "shop", "one")
    log.append_stdout(RESULT % 0)
    log.close()
    check(agent.ask(STATS), 1)


@pytest.mark.parametrize("logged", [False, True])
def test_a_log_that_is_gone(agent: Agent, logged: bool) -> None:
    """There are no statistics any more either."""
    agent.logs.mkdir()
    put(agent, State.FINISHED, logged)
    assert agent.ask(STATS).status == 404


def test_no_such_job(agent: Agent) -> None:
    """There is nothing to tell of it."""
    assert agent.ask(STATS.replace(b"one", b"two")).status == 404
