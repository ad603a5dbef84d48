"""The state of the agent (starting, ready, stopping) and its notices for the operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.logger import Logger

from goloagent.concurrency.periodic import Tasks
from goloagent.core.host_fault import HostFault
from goloagent.host.readiness import READY, STARTING, Health
from goloagent.host.systemd import SystemdNotifier

DISK_FAILED = "disk-failed"
START_FAILED = "start-failed"
INTERNAL_ERROR = "internal-error"
# The start may take long, because it reads the logs of interrupted runs.
START_SECONDS = 60.0
MAX_NOTICES = 20


@attrs.define
class HealthState:
    """The state behind ``/health`` and the reports to `notifier`.

    Faults of `tasks` are among the notices; if a task has ended, the agent is not ready.
    """

    notifier: SystemdNotifier
    tasks: Tasks = attrs.Factory(Tasks)
    health: Health = attrs.Factory(lambda: Health(STARTING))
    _noticed: int = attrs.field(init=False, default=0)
    _reported: tuple[object, ...] = attrs.field(init=False, default=())

    _log = Logger()

    @property
    def disk_failed(self) -> bool:
        """Whether nothing more may be written."""
        return self.health.status == DISK_FAILED

    def ready(self) -> None:
        """Report that the agent accepts jobs."""
        self.health = attrs.evolve(self.health, status=READY, reason=None)
        self.notifier.ready()

    def set_status(self, status: str, reason: str) -> None:
        """Report that the agent accepts no more jobs, and why."""
        self.health = attrs.evolve(self.health, status=status, reason=reason)
        self.notifier.stopping()

    def heartbeat(self) -> None:
        """Send a heartbeat to the service manager; during the start, extend its timeout."""
        if self.health.status == STARTING:
            self.notifier.starting(START_SECONDS)
        else:
            self.notifier.watchdog()

    def show(self, health: Health) -> None:
        """Report a changed health to the service manager.

        Numbers in a reason, such as free bytes, are not a change.
        """
        collector = health.collector
        report = health.status, collector.state, collector.last_error, len(health.notices)
        if self.health.status != READY or report == self._reported:
            return
        self._reported = report
        self.notifier.status(summary(health))

    def set_protections(self, **protections: Any) -> None:
        """Set members of `Protections`."""
        now = attrs.evolve(self.health.protections, **protections)
        self.health = attrs.evolve(self.health, protections=now)

    def add_notice(self, sentence: str) -> None:
        """Log a sentence, and add it to ``/health`` if that has few."""
        sentence = sentence.encode(
            errors="backslashreplace"
        ).decode()  # it may contain any file name
        self._log.error("{sentence}", sentence=sentence)
        self._noticed += 1
        notices = self.health.notices[:MAX_NOTICES]
        if self._noticed <= MAX_NOTICES:
            notices = (*notices, sentence)
        else:
            notices = (*notices, f"and {self._noticed - MAX_NOTICES} more, see the log")
        self.health = attrs.evolve(self.health, notices=notices)

    def current(self, fault: Callable[[], HostFault | None]) -> Health:
        """Return the health; `fault` returns the fault of the host that prevents jobs, or None."""
        health = attrs.evolve(self.health, notices=(*self.health.notices, *self.tasks.faults))
        if not health.ready:
            return health
        if ended := self.tasks.ended:
            reason = (
                f"Restart the agent: a task has ended that must always run ({', '.join(ended)})."
            )
            return attrs.evolve(health, status=INTERNAL_ERROR, reason=reason)
        if faults := self.tasks.reported:
            return attrs.evolve(health, status=INTERNAL_ERROR, reason=" ".join(faults))
        found = fault()
        if found is None:
            return health
        return attrs.evolve(health, status=found.status, reason=found.sentence)


def summary(health: Health) -> str:
    """Return ``/health`` in one line: the status, the collector's error, the number of notices."""
    parts = [health.status if health.reason is None else f"{health.status}: {health.reason}"]
    collector = health.collector
    if collector.last_error is not None:
        parts.append(f"collector {collector.state}: {collector.last_error}")
    if health.notices:
        notices = "1 notice" if len(health.notices) == 1 else f"{len(health.notices)} notices"
        parts.append(f"{notices} in /health")
    return "; ".join(parts)
