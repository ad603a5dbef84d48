"""The state of a run as its agents have reported it by now. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from goloagent.report.builder import OVER

HISTORY_SECONDS = 60

_PERCENTILES = ("p50", "p95", "p99", "max")


@attrs.define
class AgentStatus:
    """The last reports of one agent: the job resource, the progress, and the checks."""

    job: Mapping[str, Any] = attrs.Factory(dict)
    progress: Mapping[str, Any] = attrs.Factory(dict)
    checks: Sequence[Mapping[str, Any]] = ()
    duration: float | None = None
    paused: bool = False


@attrs.frozen
class CheckStatus:
    """A threshold: whether it holds by now, None before a figure, and the worst figure."""

    metric: str
    threshold: str
    passed: bool | None
    value: float | None


@attrs.define
class Second:
    """The sums of the agents in one second of the run, and the highest p95."""

    calls: float = 0.0
    p95: float | None = None


@attrs.define
class RunStatus:
    """The figures of a run by now; the figures of several agents are added.

    Percentiles of several agents are those of the slowest one.

    Attributes:
        phase: what is done at present, as a sentence.
        history: the last minute, by the second of the run.
        limits: the causes for which a generator was the limit, with the last second.
    """

    name: str = ""
    phase: str = ""
    agents: dict[str, AgentStatus] = attrs.Factory(dict)
    history: dict[int, Second] = attrs.Factory(dict)
    limits: dict[str, float] = attrs.Factory(dict)

    def progress(self, agent: str, progress: Mapping[str, Any]) -> None:
        """Store the progress of an agent, as in its ``progress`` events."""
        progress = {**progress, "at": progress.get("at", 0.0)}
        self._agent(agent).progress = progress
        at = int(progress["at"])
        second = self.history.setdefault(at, Second())
        second.calls += progress.get(self.rate_member, 0.0)
        p95 = (progress.get(self.latency_member) or {}).get("p95")
        if p95 is not None:
            second.p95 = max(p95, second.p95 or 0.0)
        for old in [one for one in self.history if one <= at - HISTORY_SECONDS]:
            del self.history[old]
        for cause in progress.get("limited", ()):
            self.limits[cause] = max(self.limits.get(cause, 0.0), progress["at"])

    def event(self, agent: str, kind: str, data: Mapping[str, Any]) -> None:
        """Store an event of an agent: ``state``, ``verdict``, ``change``, ``limited``."""
        status = self._agent(agent)
        if kind == "state":
            status.job = data
            status.duration = status.duration or data.get("duration")
            self._verdict(status, data.get("verdict"))
        elif kind == "verdict":
            self._verdict(status, data)
        elif kind == "limited":
            cause, at = str(data.get("cause")), float(data.get("from", 0))
            self.limits[cause] = max(self.limits.get(cause, 0.0), at)
        elif kind == "change":
            if data.get("duration") is not None:
                status.duration = data["duration"]
            if data.get("paused") is not None:
                status.paused = data["paused"]

    def _agent(self, agent: str) -> AgentStatus:
        return self.agents.setdefault(agent, AgentStatus())

    @staticmethod
    def _verdict(status: AgentStatus, verdict: Mapping[str, Any] | None) -> None:
        if verdict is not None:
            status.checks = verdict.get("checks", ())

    @property
    def reporting(self) -> list[AgentStatus]:
        """The agents that have reported progress."""
        return [agent for agent in self.agents.values() if agent.progress]

    @property
    def state(self) -> str:
        """The state of the first agent whose job is not over, else of the last one."""
        states = [str(agent.job.get("state", "")) for agent in self.agents.values() if agent.job]
        return next((state for state in states if state not in OVER), states[-1] if states else "")

    @property
    def is_running(self) -> bool:
        """Whether the load of an agent is on."""
        return self.state in ("running", "stopping")

    @property
    def message(self) -> str:
        """The message of the first agent that has one, such as the reason why it waits."""
        messages = [agent.job.get("message") for agent in self.agents.values()]
        return next((str(message) for message in messages if message), "")

    @property
    def at(self) -> float:
        """The seconds from the start of the load that all agents have reported."""
        return min((agent.progress["at"] for agent in self.reporting), default=0.0)

    @property
    def duration(self) -> float | None:
        """The planned seconds of the load; None if it is unknown."""
        return max((agent.duration or 0 for agent in self.agents.values()), default=0) or None

    @property
    def is_open(self) -> bool:
        """Whether a rate is planned, and not users."""
        return any(
            (agent.job.get("load") or {}).get("model") == "open" for agent in self.agents.values()
        )

    @property
    def is_driven(self) -> bool:
        """Whether the agents make calls; otherwise the load test makes its own load."""
        return all(agent.job.get("drive") != "self" for agent in self.agents.values())

    @property
    def is_paused(self) -> bool:
        """Whether an agent starts nothing at present."""
        return any(agent.paused for agent in self.agents.values())

    @property
    def rate_member(self) -> str:
        """The member of a progress that is the actual rate."""
        return "calls_per_second" if self.is_driven else "results_per_second"

    @property
    def latency_member(self) -> str:
        """The member of a progress with the latency: of results, or of calls if none has one."""
        has_results = any(agent.progress.get("results") for agent in self.agents.values())
        return "latency" if has_results or not self.is_driven else "iteration"

    def total(self, member: str) -> float:
        """Return the sum of a member of all agents' progress."""
        return sum(agent.progress.get(member) or 0 for agent in self.reporting)

    def latency(self, member: str) -> dict[str, float | None]:
        """Return the percentiles of a member, in seconds, of the slowest agent for each."""
        found: dict[str, float | None] = {}
        for name in _PERCENTILES:
            values = [(agent.progress.get(member) or {}).get(name) for agent in self.reporting]
            found[name] = max((value for value in values if value is not None), default=None)
        return found

    def slowest(self) -> tuple[str, float] | None:
        """Return the agent with the highest p95 of the last second; None if there is one agent."""
        if len(self.agents) < 2:
            return None
        member = self.latency_member
        p95 = {
            name: (agent.progress.get(member) or {}).get("p95")
            for name, agent in self.agents.items()
        }
        known = {name: value for name, value in p95.items() if value is not None}
        return max(known.items(), key=lambda one: one[1]) if known else None

    def checks(self) -> list[CheckStatus]:
        """Return the thresholds by now; one that an agent breaks is broken."""
        found: dict[tuple[str, str, int], CheckStatus] = {}
        for agent in self.agents.values():
            numbers: dict[tuple[str, str], int] = {}
            for one in agent.checks:
                name = (one.get("metric", ""), one.get("threshold", ""))
                numbers[name] = numbers.get(name, 0) + 1
                key = (*name, numbers[name])
                before = found.get(key)
                if before is None or (before.passed is not False and not one.get("passed")):
                    value, passed = one.get("value"), one.get("passed")
                    passed = None if value is None and passed else passed
                    found[key] = CheckStatus(*name, passed, value)
        return list(found.values())

    def current_limits(self) -> list[str]:
        """Return the causes for which a generator is the limit in the last second."""
        causes = {cause for agent in self.reporting for cause in agent.progress.get("limited", ())}
        return sorted(causes)
