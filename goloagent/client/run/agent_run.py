"""One agent's part of a run: its job from the queue to its end, by the job's events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from goloagent.client.agents.api import AgentApi
from goloagent.client.agents.json_client import AgentError
from goloagent.client.run.observer import Observer
from goloagent.report.builder import OVER
from goloagent.report.model import AgentPart

LOST_SECONDS = 10.0
"""After which an agent that does not answer is lost."""

QUIET_SECONDS = 4.0
"""Without an event, after which the agent is asked for the job, and for its answer to that."""

RETRY_SECONDS = 0.5
DELIVERY_POLL_SECONDS = 0.25
_BEFORE_LOAD = ("queued", "starting", "ready")


@attrs.define(eq=False)
class AgentRun:
    """The job `job_id` of an agent.

    Args:
        name: the agent's name in reports.
        job: as it was last seen.
        has_ended: whether the process of the agent has ended, as far as is known.
        lost: it has stopped answering.
        hurried: the delivery is not waited for.
        running: fires when the load has begun, or the job is over.
    """

    reactor: IReactorTime
    api: AgentApi
    name: str
    job_id: str
    observer: Observer
    job: dict[str, Any] = attrs.field(factory=dict)
    has_ended: Callable[[], bool] = lambda: False
    lost: bool = False
    hurried: bool = False
    running: Deferred[None] = attrs.field(factory=Deferred)
    _silent_since: float | None = None

    @property
    def over(self) -> bool:
        """Whether the job is over."""
        return self.job.get("state") in OVER

    @property
    def has_pending(self) -> bool:
        """Whether a required output lacks results of the job."""
        outputs = self.job.get("outputs")
        if outputs is None:  # an agent of before
            results, delivery = self.job["results"], self.job["delivery"]
            return bool(results["pending"]) and delivery["state"] != "none"
        return any(one["required"] and not one["complete"] for one in outputs.values())

    async def watch(self) -> None:
        """Follow the job until it is over or the agent is lost."""
        api = self.api.within(QUIET_SECONDS)
        try:
            while not self.over and not self.lost:
                try:
                    async for kind, data in api.events(self.job_id):
                        self._answered()
                        self._seen(kind, data)
                    self._seen("state", await api.job(self.job_id))
                    self._answered()
                except AgentError as error:
                    self._failed(error)
                if not self.over and not self.lost:
                    await self._sleep(RETRY_SECONDS)
        finally:
            self._fire()

    async def delivered(self, timeout_seconds: float) -> None:
        """Wait until no required output lacks results, at most so long."""
        api = self.api.within(QUIET_SECONDS)
        deadline = self.reactor.seconds() + timeout_seconds
        while self._is_delivering() and self.reactor.seconds() < deadline:
            await self._sleep(DELIVERY_POLL_SECONDS)
            try:
                self.job = await api.job(self.job_id)
                self._answered()
            except AgentError as error:
                self._failed(error)

    def hurry(self) -> None:
        """Wait for the delivery no longer."""
        self.hurried = True

    async def part(self) -> AgentPart:
        """Return what the agent answers about its job, or what was seen last if it is lost."""
        while True:
            api = self.api.within(QUIET_SECONDS) if self.lost else self.api
            try:
                return await part_of(api, self.name, {"id": self.job_id, **self.job})
            except AgentError as error:
                self._failed(error)
                if self.lost:
                    return AgentPart(agent=self.name, version="", job=self.job)
            await self._sleep(RETRY_SECONDS)

    def _answered(self) -> None:
        self._silent_since = None

    def _failed(self, error: AgentError) -> None:
        """Take note of a failed request: the agent is lost after `LOST_SECONDS` of them."""
        now = self.reactor.seconds()
        if self._silent_since is None:
            self._silent_since = now
            self.observer.note(f"{error}")
        if error.status == 404 or self.has_ended() or now - self._silent_since >= LOST_SECONDS:
            self.lost = True

    def _is_delivering(self) -> bool:
        return self.has_pending and not self.hurried and not self.lost

    def _seen(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "state":
            known, self.job = self.job.get("state"), data
            if data["state"] not in _BEFORE_LOAD:
                self._fire()
            if data["state"] == known:
                return
        if kind == "progress":
            self.observer.progress(self.name, data)
        else:
            self.observer.event(self.name, kind, data)

    def _fire(self) -> None:
        if not self.running.called:
            self.running.callback(None)

    async def _sleep(self, seconds: float) -> None:
        await deferLater(self.reactor, seconds)


async def part_of(api: AgentApi, name: str, job: dict[str, Any]) -> AgentPart:
    """Return what an agent answers about a job; `name` is the agent's in reports.

    Raises:
        AgentError: it does not answer.
    """

    async def answer(get: Callable[[str], Any]) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = await get(str(job["id"]))
        except AgentError as error:
            if error.status != 404:
                raise
            return None
        return found

    return AgentPart(
        agent=name,
        version=await api.version(),
        job=job,
        stats=await answer(api.stats),
        timeline=await answer(api.timeline),
    )
