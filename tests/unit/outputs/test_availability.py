"""What an operator learns about the collector: in /health and in the log, on a clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from goloagent.outputs.availability import (
    NOTICE_SECONDS,
    REMIND_SECONDS,
    Availability,
    CollectorStatus,
)
from goloagent.outputs.sink import Response

URL = "http://collector:8082"
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
REFUSED = Response(error="connection refused")
TAKEN, UNAUTHORIZED, BUSY = Response(200), Response(401, text="who are you?"), Response(503)


class World:
    """A collector whose answers a test gives, and the log."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.pending = 0
        self.log: list[tuple[str, str]] = []
        self.availability = Availability(URL, self.clock.seconds, self.now, lambda: self.pending)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.clock.seconds())

    def push(self, answer: Response, after: float = 0.0) -> None:
        """Push and be answered so, some time later."""

        async def push(name: str, key: str, body: bytes) -> Response:
            return answer

        self.clock.advance(after)
        pushed = ensureDeferred(self.availability.observed(push)("name", "key", b"[]"))
        assert pushed.result is answer

    def observe(self, event: LogEvent) -> None:
        self.log.append((event["log_level"].name, formatEvent(event)))


@pytest.fixture
def world() -> Iterator[World]:
    """Return a world whose log is followed."""
    world = World()
    globalLogPublisher.addObserver(world.observe)
    yield world
    globalLogPublisher.removeObserver(world.observe)


def test_before_anything(world: World) -> None:
    """Nothing is claimed before it was tried."""
    assert world.availability.status == CollectorStatus(URL, "unknown", 0, START, None)


def test_a_collector_that_is_reachable_at_the_start(world: World) -> None:
    """The log has one line with its address."""
    world.availability.checked(None)
    assert world.availability.status.state == "ok"
    assert world.log == [("info", f"collector {URL}: reachable")]


def test_a_collector_that_is_missing_at_the_start(world: World) -> None:
    """The log has one line with its address, the reason, and what becomes of results."""
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


def test_a_check_that_ends_late_is_old_news(world: World) -> None:
    """What a push came to says more than a connection without one."""
    world.push(TAKEN)
    world.availability.checked("connection refused")
    assert world.availability.status.state == "ok"
    assert world.log == []


def test_an_outage(world: World) -> None:
    """It is told when nothing was taken for 10 s, again each 10 minutes, and when it is over."""
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
    told = len(world.log)
    assert told == 1 + (world.clock.seconds() - NOTICE_SECONDS) // REMIND_SECONDS
    assert world.availability.status.since == START + timedelta(seconds=1)
    world.push(TAKEN, after=30)
    assert world.log[told:] == [("info", f"collector {URL}: takes results again")]
    assert world.availability.status == CollectorStatus(URL, "ok", 0, world.now(), None)


def test_what_passes_at_once_is_no_news(world: World) -> None:
    """A collector that is busy for a moment makes no line."""
    for _ in range(100):
        world.push(TAKEN, after=1)
        world.push(BUSY, after=1)
    assert world.log == []


def test_one_runs_trouble_is_not_the_collectors(world: World) -> None:
    """While other runs are delivered, a refused name says nothing of the collector."""
    world.push(TAKEN)
    for _ in range(100):
        world.push(Response(404), after=1)
        world.push(TAKEN, after=1)
    assert world.availability.status.state == "ok"
    assert world.log == []


def test_a_setting_that_is_wrong(world: World) -> None:
    """It waits for a person, and a change from one trouble to another is told."""
    world.push(REFUSED)
    world.push(UNAUTHORIZED, after=1)
    assert world.availability.status.state == "holding"
    assert [level for level, _ in world.log] == [LogLevel.warn.name] * 2
    assert "401 who are you?; delivery is holding" in world.log[1][1]


def test_a_refused_result_says_nothing(world: World) -> None:
    """It is the result that is wrong: the collector answers."""
    world.push(Response(422))
    assert world.availability.status.state == "unknown"


def test_a_stop(world: World) -> None:
    """What was not delivered is told, once, and nothing when there is none."""
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
