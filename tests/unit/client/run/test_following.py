"""Following a job on a clock, by an agent that answers as scripted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import attrs
import pytest
from peers.reports import answers
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from goloagent.client.agents.json_client import AgentError
from goloagent.client.config.plan import FleetPlan, ReportPlan
from goloagent.client.errors import ClientError
from goloagent.client.exit_codes import ExitCode
from goloagent.client.run.agent_run import LOST_SECONDS, AgentRun
from goloagent.client.run.following import Following
from goloagent.report.model import Report

PASSED = {"passed": True, "code": None, "reason": None, "checks": [], "missing": []}


@attrs.define(eq=False)
class ScriptedAgent:
    """An agent with one job; `gone` makes it silent, and `end_stream` ends its events."""

    job_: dict[str, Any]
    gone: bool = False
    asked: list[str] = attrs.field(factory=list)
    _waiting: list[Deferred[None]] = attrs.field(factory=list)

    def becomes(self, **members: Any) -> None:
        """Change the job and publish it."""
        self.job_ = {**self.job_, **members}
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)

    def within(self, seconds: float) -> ScriptedAgent:
        """Return itself: it answers at once or raises."""
        return self

    def disappear(self) -> None:
        """Break the stream, and answer nothing from now on."""
        self.gone = True
        self.becomes()

    async def events(self, job_id: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        self._check()
        yield "state", self.job_
        while self.job_["state"] in ("queued", "starting", "running", "stopping"):
            changed: Deferred[None] = Deferred()
            self._waiting.append(changed)
            await changed
            self._check()
            yield "state", self.job_

    async def job(self, job_id: str) -> dict[str, Any]:
        self._check()
        return self.job_

    async def stats(self, job_id: str) -> dict[str, Any]:
        self._check()
        stats: dict[str, Any] = answers()["stats"]
        return stats

    async def timeline(self, job_id: str) -> dict[str, Any]:
        self._check()
        raise AgentError("there is none", 404)

    async def version(self) -> str:
        self._check()
        return "3.0"

    async def change(self, job_id: str, members: Mapping[str, Any]) -> None:
        self.asked.append(f"change {members}")

    async def cancel(self, job_id: str) -> None:
        self.asked.append("cancel")
        self.becomes(state="cancelled", verdict={**PASSED, "passed": False, "code": "cancelled"})

    def _check(self) -> None:
        if self.gone:
            raise AgentError("no answer")


class Notes:
    """An observer that records notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


@attrs.define(eq=False)
class World:
    """A job that is followed on a clock."""

    clock: Clock
    agent: ScriptedAgent
    following: Following
    result: Deferred[Report]
    notes: list[str]

    def advance(self, seconds: float) -> None:
        """Let time pass in steps, so that each answer can follow."""
        for _ in range(round(seconds * 20)):
            self.clock.advance(0.05)

    def exit_code(self) -> int:
        """Return the exit code of the report, which must be there."""
        report = self.result.result
        assert isinstance(report, Report), report
        assert report.outcome is not None
        return report.outcome.exit_code


def follow(fleet: FleetPlan | None = None, **members: Any) -> World:
    """Follow a job that is queued."""
    clock, notes = Clock(), Notes()
    job = {**answers()["job"], "state": "queued", "verdict": None, **members}
    agent = ScriptedAgent(job)
    run = AgentRun(clock, agent, "agent-1", job["id"], notes)  # type: ignore[arg-type]
    following = Following(clock, run, notes, ReportPlan(delivery_seconds=5), fleet or FleetPlan())
    return World(clock, agent, following, following.to_the_end(), notes.notes)


def test_a_load_test_that_does_not_listen() -> None:
    """It is shown once what the agent waits for, but not while the job is queued."""
    world = follow()
    world.advance(30)
    assert world.notes == []
    world.agent.becomes(state="starting", message="The agent waits.")
    world.advance(30)
    assert world.notes == ["agent-1: The agent waits."]
    world.agent.becomes(state="running", message=None)
    world.advance(30)
    assert world.notes == ["agent-1: The agent waits."]


def test_a_run_to_its_end() -> None:
    """The report is there as soon as the job is over and everything is delivered."""
    world = follow()
    world.agent.becomes(state="running")
    world.advance(60)
    assert not world.result.called
    world.agent.becomes(state="finished", verdict=PASSED)
    assert world.exit_code() == ExitCode.OK
    assert world.agent.asked == []


def test_a_short_silence() -> None:
    """An agent that answers again within ten seconds is not lost."""
    world = follow()
    world.agent.becomes(state="running")
    world.agent.disappear()
    world.advance(LOST_SECONDS - 1)
    world.agent.gone = False
    world.advance(1)
    world.agent.becomes(state="finished", verdict=PASSED)
    assert world.exit_code() == ExitCode.OK
    assert world.notes == ["no answer"]


def test_a_lost_agent() -> None:
    """After ten seconds of silence the run ends with what was seen."""
    world = follow()
    world.agent.becomes(state="running")
    world.agent.disappear()
    world.advance(LOST_SECONDS - 0.5)
    assert not world.result.called
    world.advance(1.5)
    assert world.exit_code() == ExitCode.AGENTS_LOST


def test_an_agent_that_is_not_ready_in_time() -> None:
    """Its job is taken back."""
    world = follow(FleetPlan(ready_seconds=3))
    world.advance(2.5)
    assert world.agent.asked == []
    world.advance(1)
    assert world.agent.asked == ["cancel"]
    assert world.exit_code() == ExitCode.NOT_READY


@pytest.mark.parametrize(("delivered_after", "exit_code"), [(4, 0), (9, ExitCode.UNDELIVERED)])
def test_the_delivery_is_waited_for(delivered_after: int, exit_code: int) -> None:
    """At most for the time of --delivery-timeout."""
    retrying = {"state": "retrying", "last_error": "connection refused", "retry_at": None}
    counts = {**answers()["job"]["results"], "abandoned": 0, "delivered": 0, "pending": 1955}
    world = follow()
    world.agent.becomes(state="finished", verdict=PASSED, delivery=retrying, results=counts)
    world.advance(delivered_after)
    world.agent.becomes(
        delivery={**retrying, "state": "ok"}, results={**counts, "delivered": 1955, "pending": 0}
    )
    world.advance(1)
    assert world.exit_code() == exit_code


def test_interrupts() -> None:
    """The first ends the load in order, the second cancels the job."""
    world = follow()
    world.agent.becomes(state="running")
    world.following.interrupt()
    assert world.agent.asked == ["change {'duration': 0}"]
    world.following.interrupt()
    assert world.agent.asked[1:] == ["cancel"]
    assert world.exit_code() == ExitCode.INTERRUPTED


def test_an_interrupt_of_a_queued_job() -> None:
    """There is no load to end in order."""
    world = follow()
    world.following.interrupt()
    assert world.agent.asked == ["cancel"]
    assert world.exit_code() == ExitCode.INTERRUPTED


def test_detached() -> None:
    """The job goes on."""
    world = follow()
    world.agent.becomes(state="running")
    world.following.detach()
    failure = world.result.result
    assert failure.check(ClientError), failure  # type: ignore[attr-defined]
    assert failure.value.exit_code == ExitCode.INTERRUPTED  # type: ignore[attr-defined]
    assert world.agent.asked == []
    world.result.addErrback(lambda _: None)
