"""One agent's job, followed while the agent is slow, gone, back, or another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock

from goloagent.client.agents.json_client import AgentError
from goloagent.client.run.agent_run import LOST_SECONDS, AgentRun

Answer = Callable[[], dict[str, Any]]


class Notes:
    """An observer that keeps sentences."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, sentence: str) -> None:
        """Keep one."""
        self.notes.append(sentence)

    def event(self, *_: object) -> None:
        """Drop it."""


class Api:
    """An agent whose streams end at once and whose answers are given."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked = 0

    def within(self, seconds: float) -> Api:
        """Return it."""
        return self

    async def events(self, job_id: str) -> AsyncIterator[tuple[str, Any]]:
        """Yield the present state once."""
        yield "state", self.answer()

    async def job(self, job_id: str) -> dict[str, Any]:
        """Return the present state."""
        self.asked += 1
        return self.answer()

    async def version(self) -> str:
        """Return one if the agent answers."""
        self.answer()
        return "1"

    async def stats(self, job_id: str) -> dict[str, Any]:
        """Return nothing."""
        return {}

    timeline = stats


def job(state: str, pending: int = 0) -> dict[str, Any]:
    """Return a job as far as it is looked at."""
    return {"state": state, "results": {"pending": pending}, "delivery": {"state": "ok"}}


def fail(status: int = 0) -> Answer:
    """Return an answer that is an error."""

    def answer() -> dict[str, Any]:
        raise AgentError("agent a: connection refused", status)

    return answer


def start(answer: Answer, **more: Any) -> tuple[AgentRun, Api, Clock, Notes]:
    """Return a run on an agent with an answer."""
    clock, api, notes = Clock(), Api(answer), Notes()
    run = AgentRun(clock, api, "a", "j", notes, **more)  # type: ignore[arg-type]
    return run, api, clock, notes


def advance(clock: Clock, seconds: float) -> None:
    """Let time pass in steps of 100 ms."""
    clock.pump([0.1] * round(seconds * 10))


def watched(run: AgentRun) -> Deferred[None]:
    """Watch the run."""
    return ensureDeferred(run.watch())


def test_an_agent_that_is_back_in_time() -> None:
    """It is not lost, and the silence is noted once."""
    run, api, clock, notes = start(lambda: job("running"))
    watching = watched(run)
    for _ in range(3):
        api.answer = fail()
        advance(clock, LOST_SECONDS - 1)
        api.answer = lambda: job("running")
        advance(clock, 1)
    api.answer = lambda: job("finished")
    advance(clock, 1)
    assert watching.called
    assert (run.lost, run.over, len(notes.notes)) == (False, True, 3)


@pytest.mark.parametrize(
    ("answer", "more", "seconds"),
    [
        (fail(), {}, LOST_SECONDS + 1),
        (fail(404), {}, 0),
        (fail(), {"has_ended": lambda: True}, 0),
    ],
    ids=["silent", "without the job", "process ended"],
)
def test_an_agent_that_is_lost(answer: Answer, more: dict[str, Any], seconds: float) -> None:
    """The wait for the load ends too."""
    run, api, clock, _ = start(lambda: job("running"), **more)
    watching = watched(run)
    api.answer = answer
    advance(clock, seconds + 1)
    assert watching.called
    assert run.lost
    assert run.running.called
    part = ensureDeferred(run.part())
    assert part.result.job["state"] == "running"


def test_streams_that_end_at_once() -> None:
    """The agent is asked twice a second, not in a loop without an end."""
    run, api, clock, _ = start(lambda: job("running"))
    watched(run)
    advance(clock, 10)
    assert api.asked <= 21


def test_an_agent_that_restarts_during_the_delivery() -> None:
    """The delivery is waited for; then the statistics are."""
    run, api, clock, _ = start(lambda: job("finished", pending=5))
    watched(run)
    delivering = ensureDeferred(run.delivered(60))
    api.answer = fail()
    advance(clock, 5)
    assert not delivering.called
    api.answer = lambda: job("finished")
    advance(clock, 1)
    assert delivering.called
    api.answer = fail()
    part = ensureDeferred(run.part())
    advance(clock, 5)
    api.answer = lambda: job("finished")
    advance(clock, 1)
    assert part.result.version == "1"
    assert not run.lost


def test_a_delivery_that_is_not_waited_for() -> None:
    """A person has interrupted it."""
    run, _, clock, _ = start(lambda: job("finished", pending=5))
    watched(run)
    delivering = ensureDeferred(run.delivered(60))
    run.hurry()
    advance(clock, 1)
    assert delivering.called


@pytest.mark.parametrize(
    ("outputs", "is_waited_for"),
    [
        ({}, False),
        ({"a": (True, 0)}, False),
        ({"a": (True, 0), "b": (True, 5)}, True),
        ({"a": (True, 0), "b": (False, 5)}, False),
    ],
)
def test_required_outputs_are_waited_for(
    outputs: dict[str, tuple[bool, int]], is_waited_for: bool
) -> None:
    """Until the time is over, whatever the collector has."""
    given = {name: {"required": one, "complete": not two} for name, (one, two) in outputs.items()}
    run, _, clock, _ = start(lambda: {**job("finished", pending=7), "outputs": given})
    watched(run)
    waiting = ensureDeferred(run.delivered(30))
    assert waiting.called is not is_waited_for
    advance(clock, 31)
    assert waiting.called
