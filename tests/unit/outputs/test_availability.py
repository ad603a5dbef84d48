"""The availability of the collector, in /health and in the log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from goloagent.core.job_spec import JobSpec
from goloagent.jobs.job import Job
from goloagent.outputs.availability import (
    NOTICE_SECONDS,
    REMIND_SECONDS,
    Availability,
    CollectorStatus,
)
from goloagent.outputs.sink import Response

URL = "http://collector:8082"
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
JOB = Job("job", JobSpec("shop", 1, 1, "b"), START)
REFUSED = Response(error="connection refused")
TAKEN, UNAUTHORIZED, BUSY = Response(200), Response(401, text="who are you?"), Response(503)


class World:
    """A collector with given responses, and the log."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.pending = 0
        self.log: list[tuple[str, str]] = []
        self.availability = Availability(
            f"collector {URL}", URL, self.clock.seconds, self.now, lambda: self.pending
        )

    def now(self) -> datetime:
        return START + timedelta(seconds=self.clock.seconds())

    def push(self, answer: Response, after: float = 0.0) -> None:
        """Push after some time, with a given response."""

        async def push(job: Job, batch: object, ordinal: int) -> Response:
            return answer

        self.clock.advance(after)
        pushed = ensureDeferred(self.availability.observed(push)(JOB, None, 0))
        assert pushed.result is answer

    def observe(self, event: LogEvent) -> None:
        self.log.append((event["log_level"].name, formatEvent(event)))


@pytest.fixture
def world() -> Iterator[World]:
    """Return a world that observes the log."""
    world = World()
    globalLogPublisher.addObserver(world.observe)
    yield world
    globalLogPublisher.removeObserver(world.observe)


def test_before_anything(world: World) -> None:
    """The state is unknown before the first connection."""
    assert world.availability.status == CollectorStatus(URL, "unknown", 0, START, None)


def test_a_collector_that_is_reachable_at_the_start(world: World) -> None:
    """The log has one line with its address."""
    world.availability.checked(None)
    assert world.availability.status.state == "ok"
    assert world.log == [("info", f"collector {URL}: reachable")]


def test_a_collector_that_is_missing_at_the_start(world: World) -> None:
    """The log has one line with its address, the reason and the consequence."""
    world.availability.checked("connection refused")
    assert world.availability.status == CollectorStatus(
        URL, "retrying", 0, START, "connection refused"
    )
    assert world.log == [
        (
            "warn",
            f"collector {URL}: not reachable (connection refused); results are stored and sent"
            " later",
        )
    ]
    world.pending = 5
    world.push(REFUSED, after=3)
    assert world.availability.status.pending == 5
    assert world.log[1:] == [
        (
            "warn",
            f"collector {URL}: connection refused; delivery is retrying, 5 results are stored and"
            " sent later",
        )
    ]


def test_a_late_check(world: World) -> None:
    """The outcome of a push counts more than that of a connection."""
    world.push(TAKEN)
    world.availability.checked("connection refused")
    assert world.availability.status.state == "ok"
    assert world.log == []


def test_an_outage(world: World) -> None:
    """It is logged after 10 s without a delivery, every 10 minutes, and at its end."""
    world.push(TAKEN)
    for _ in range(9):
        world.push(REFUSED, after=1)
    assert world.availability.status.state == "ok"
    assert world.log == []
    world.push(REFUSED, after=1)
    status = world.availability.status
    assert (status.state, status.last_error) == ("retrying", "connection refused")
    assert status.since == START + timedelta(seconds=1)
    assert len(world.log) == 1
    while world.clock.seconds() < 3600:
        world.push(REFUSED, after=30)
    logged = len(world.log)
    assert logged == 1 + (world.clock.seconds() - NOTICE_SECONDS) // REMIND_SECONDS
    assert world.availability.status.since == START + timedelta(seconds=1)
    world.push(TAKEN, after=30)
    assert world.log[logged:] == [("info", f"collector {URL}: takes results again")]
    assert world.availability.status == CollectorStatus(URL, "ok", 0, world.now(), None)


def test_short_failures_are_not_logged(world: World) -> None:
    """A collector that is busy for a moment makes no line."""
    for _ in range(100):
        world.push(TAKEN, after=1)
        world.push(BUSY, after=1)
    assert world.log == []


def test_failures_of_one_run(world: World) -> None:
    """While other runs are delivered, a refused name changes nothing."""
    world.push(TAKEN)
    for _ in range(100):
        world.push(Response(404), after=1)
        world.push(TAKEN, after=1)
    assert world.availability.status.state == "ok"
    assert world.log == []


def test_a_wrong_setting(world: World) -> None:
    """The state is holding, and a change of the error is logged."""
    world.push(REFUSED)
    world.push(UNAUTHORIZED, after=1)
    assert world.availability.status.state == "holding"
    assert [level for level, _ in world.log] == [LogLevel.warn.name] * 2
    assert "401 who are you?; delivery is holding" in world.log[1][1]


def test_a_refused_result(world: World) -> None:
    """It changes nothing, because the result is at fault."""
    world.push(Response(422))
    assert world.availability.status.state == "unknown"


def test_a_stop(world: World) -> None:
    """The number of pending results is logged, unless it is zero."""
    world.availability.stopped()
    assert world.log == []
    world.pending = 7
    world.availability.stopped()
    assert world.log == [
        (
            "warn",
            f"collector {URL}: 7 results are not delivered; they stay in the logs and are sent"
            " after the next start",
        )
    ]
