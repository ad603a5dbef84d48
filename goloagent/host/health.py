"""How the agent fares as a whole: starting, ready, stopping; and what an operator should know."""

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
# Logs of an earlier life are read at the start, however long they are.
START_SECONDS = 60.0
MAX_NOTICES = 20


@attrs.define
class HealthState:
    """What ``/health`` and `notifier` tell, changed as the agent goes through its life.

    What is wrong with `tasks` is among the notices; if one has ended, the agent is not ready.
    """

    notifier: SystemdNotifier
    tasks: Tasks = attrs.Factory(Tasks)
    health: Health = attrs.Factory(lambda: Health(STARTING))
    _noticed: int = attrs.field(init=False, default=0)
    _told: tuple[object, ...] = attrs.field(init=False, default=())

    _log = Logger()

    @property
    def disk_failed(self) -> bool:
        """Whether nothing is to be written any more."""
        return self.health.status == DISK_FAILED

    def ready(self) -> None:
        """Take jobs from now on."""
        self.health = attrs.evolve(self.health, status=READY, reason=None)
        self.notifier.ready()

    def set_status(self, status: str, reason: str) -> None:
        """Take no jobs any more, for a reason."""
        self.health = attrs.evolve(self.health, status=status, reason=reason)
        self.notifier.stopping()

    def heartbeat(self) -> None:
        """Tell the service manager that the agent lives, while it starts and afterwards."""
        if self.health.status == STARTING:
            self.notifier.starting(START_SECONDS)
        else:
            self.notifier.watchdog()

    def show(self, health: Health) -> None:
        """Tell the service manager what ``/health`` says, if that has changed.

        Numbers in a reason, such as free bytes, are no change.
        """
        collector = health.collector
        told = health.status, collector.state, collector.last_error, len(health.notices)
        if self.health.status != READY or told == self._told:
            return
        self._told = told
        self.notifier.status(summary(health))

    def set_protections(self, **protections: Any) -> None:
        """Tell which protections are in force, by the names that `Protections` has for them."""
        now = attrs.evolve(self.health.protections, **protections)
        self.health = attrs.evolve(self.health, protections=now)

    def add_notice(self, sentence: str) -> None:
        """Log a sentence, and keep it for ``/health`` if there are few."""
        sentence = sentence.encode(errors="backslashreplace").decode()  # it may name any file
        self._log.error("{sentence}", sentence=sentence)
        self._noticed += 1
        notices = self.health.notices[:MAX_NOTICES]
        if self._noticed <= MAX_NOTICES:
            notices = (*notices, sentence)
        else:
            notices = (*notices, f"and {self._noticed - MAX_NOTICES} more, which the log has")
        self.health = attrs.evolve(self.health, notices=notices)

    def current(self, fault: Callable[[], HostFault | None]) -> Health:
        """Return the health now; `fault` returns what keeps a ready agent from running jobs."""
        health = attrs.evolve(self.health, notices=(*self.health.notices, *self.tasks.faults))
        if not health.ready:
            return health
        if ended := self.tasks.ended:
            reason = f"Restart the agent: it has lost what must always run ({', '.join(ended)})."
            return attrs.evolve(health, status=INTERNAL_ERROR, reason=reason)
        if faults := self.tasks.reported:
            return attrs.evolve(health, status=INTERNAL_ERROR, reason=" ".join(faults))
        found = fault()
        if found is None:
            return health
        return attrs.evolve(health, status=found.status, reason=found.sentence)


def summary(health: Health) -> str:
    """Return ``/health`` in one line: the status, and what an operator should know beside it."""
    parts = [health.status if health.reason is None else f"{health.status}: {health.reason}"]
    collector = health.collector
    if collector.last_error is not None:
        parts.append(f"collector {collector.state}: {collector.last_error}")
    if health.notices:
        notices = "1 notice" if len(health.notices) == 1 else f"{len(health.notices)} notices"
        parts.append(f"{notices} in /health")
    return "; ".join(parts)
