"""A run from the plan to the report: agents, upload, queue, load, delivery, judgement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

import attrs
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from goloagent.client.agents.access import check_ready
from goloagent.client.agents.address import AgentAddress
from goloagent.client.agents.api import AgentApi
from goloagent.client.agents.json_client import AgentError
from goloagent.client.config.data_files import content_hash, file_member
from goloagent.client.config.plan import Plan
from goloagent.client.errors import ClientError
from goloagent.client.exit_codes import ExitCode
from goloagent.client.private_agent import agent as private
from goloagent.client.program.upload import BUNDLED, Upload
from goloagent.client.run.agent_run import AgentRun
from goloagent.client.run.following import Following
from goloagent.client.run.observer import Observer
from goloagent.core.trace_context import VARIABLE, parse_traceparent
from goloagent.report.model import Report

_HEALTH_POLL_SECONDS = 0.05


@attrs.define(eq=False)
class Execution:
    """One run of `plan`, on the agent at `address` or on a private one."""

    reactor: Any
    plan: Plan
    upload: Upload
    observer: Observer
    environ: Mapping[str, str] = attrs.field(repr=False)
    address: AgentAddress | None = None
    _following: Following | None = None
    _interrupts: int = 0
    _is_queueing: bool = False
    _has_ended: Callable[[], bool] = lambda: False
    _task: Deferred[Report | None] | None = None

    def start(self) -> Deferred[Report | None]:
        """Run it; the Deferred has the report, or fails with a `ClientError`.

        With ``--detach`` it has None as soon as the job is queued.
        """
        self._task = ensureDeferred(self._execute())
        return self._task

    def interrupt(self) -> None:
        """End the run in order; the second time, cancel it. It has a report if it has a load."""
        self._interrupts += 1
        if self._following is not None:
            self._following.interrupt()
        elif self._is_queueing and self._interrupts == 1:
            pass  # the id of the job is needed to cancel it
        elif self._task is not None:
            self._task.cancel()

    async def _execute(self) -> Report | None:
        try:
            with ExitStack() as stack:
                api, name = await self._agent(stack)
                try:
                    return await self._on(api, name)
                finally:
                    with suppress(Exception):
                        await api.close()
        except CancelledError:
            raise ClientError("interrupted before the load began", ExitCode.INTERRUPTED) from None

    async def _agent(self, stack: ExitStack) -> tuple[AgentApi, str]:
        """Return the API of the run's agent, ready, and its name in reports."""
        fleet = self.plan.fleet
        if self.address is None:
            self.observer.phase("agents", "starting a private agent")
            agent = private.PrivateAgent.start(self.environ, self.plan.outputs)
            stack.callback(agent.stop)
            self._has_ended = agent.has_failed
            api = AgentApi.make(self.reactor, agent.address, fleet.credentials, self.environ)
            await self._private_is_ready(api, agent)
            return api, private.NAME
        api = AgentApi.make(self.reactor, self.address, fleet.credentials, self.environ)
        check_ready(str(api.address), await api.health())
        return api, str(api.address)

    async def _private_is_ready(self, api: AgentApi, agent: private.PrivateAgent) -> None:
        deadline = self.reactor.seconds() + self.plan.fleet.ready_seconds
        while True:
            with suppress(AgentError):
                if (await api.health())["status"] == "ready":
                    return
            if agent.has_failed() or self.reactor.seconds() > deadline:
                raise ClientError(f"no private agent: {agent.last_line()}", ExitCode.NOT_READY)
            await deferLater(self.reactor, _HEALTH_POLL_SECONDS)

    async def _on(self, api: AgentApi, name: str) -> Report | None:
        """Run the job on an agent."""
        plan = self.plan
        self.observer.phase("upload", f"uploading {plan.program}")
        members = await self._members(api, await self._uploaded(api))
        if plan.fleet.start_at is not None:
            self.observer.phase("waiting", f"waiting until {plan.fleet.start_at:%H:%M:%S}")
            await self._until(plan.fleet.start_at)
        self.observer.phase("queue", "queueing")
        self._is_queueing = True
        trace = parse_traceparent([self.environ.get(VARIABLE, "")])
        job_id = await api.queue(members, plan.features, trace)
        if plan.detach:
            run_id = members["run"]["id"]
            self.observer.note(f"queued as run {run_id}; follow it by: golo attach {run_id}")
            return None
        run = AgentRun(self.reactor, api, name, job_id, self.observer, has_ended=self._has_ended)
        self._following = Following(
            self.reactor,
            run,
            self.observer,
            plan.report,
            plan.fleet,
            bundled=plan.program.kind in BUNDLED,
        )
        if self._interrupts:
            self._following.interrupt()
        return await self._following.to_the_end()

    async def _uploaded(self, api: AgentApi) -> str:
        path = self.upload.path
        found = await api.binary_of(await deferToThread(content_hash, path))
        return found or await api.upload(path, self.upload.name)

    async def _members(self, api: AgentApi, binary: str) -> dict[str, Any]:
        plan = self.plan
        files = []
        for file in plan.files:
            found = await api.binary_of(await deferToThread(content_hash, file.path))
            uploaded = found or await api.upload(file.path, file.name, is_program=False)
            files.append(file_member(file, uploaded))
        members = {**plan.members, "binary": binary, "run": {"id": uuid4().hex[:12]}}
        if self.upload.args:
            members["args"] = [*self.upload.args, *plan.members.get("args", [])]
        if files:
            members["files"] = files
        return members

    async def _until(self, time: datetime) -> None:
        seconds = (time - datetime.now(timezone.utc)).total_seconds()
        if seconds > 0:
            await deferLater(self.reactor, seconds)
