"""The periodic tasks of the agent, and when they start and stop."""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred

from goloagent.concurrency.periodic import Periodic
from goloagent.core.host_fault import HostFault
from goloagent.host.checks import CHECK_SECONDS
from goloagent.host.systemd import HEARTBEAT_SECONDS
from goloagent.sandbox.reaper import REAP_SECONDS, Reaper
from goloagent.wal.retention import SWEEP_SECONDS
from goloagent.wiring.components import Components

SPACE_SECONDS = 1.0
COUNT_SECONDS = 1.0
STATUS_SECONDS = 1.0


class Loops:
    """The periodic tasks over `parts`; all are among the tasks that ``/health`` watches."""

    def __init__(self, parts: Components) -> None:
        clock, state = parts.reactor, parts.state
        seconds = state.notifier.watchdog_seconds or HEARTBEAT_SECONDS
        self._parts = parts
        self._heartbeat = Periodic(clock, seconds, "heartbeat", state.heartbeat)
        self._counters = Periodic(clock, COUNT_SECONDS, "counters", parts.exporter.counters.poll)
        self._status = Periodic(
            clock, STATUS_SECONDS, "status", lambda: state.show(parts.health.current())
        )
        self._after_recovery = (
            Periodic(clock, SPACE_SECONDS, "disk-space", self._check_space),
            Periodic(clock, SWEEP_SECONDS, "retention", parts.retention.sweep),
            Periodic(clock, CHECK_SECONDS, "host-checks", parts.checks.check),
        )
        state.tasks.add(self._heartbeat, self._counters, self._status, *self._after_recovery)
        state.tasks.add(parts.syncer.loop, parts.loop_lag.loop, parts.keepalive)

    def start(self) -> None:
        """Start what must run while the agent recovers."""
        self._heartbeat.start(now=True)
        if os.getpid() == 1 or self._parts.processes.adopts_orphans:
            reaper = Periodic(self._parts.reactor, REAP_SECONDS, "reaper", Reaper().reap)
            self._parts.state.tasks.add(reaper)
            reaper.start()

    def recovered(self) -> None:
        """Start the counters and the status, which need the recovered jobs."""
        self._counters.start(now=True)
        self._status.start()

    def ready(self) -> None:
        """Start the rest: the agent is ready."""
        for loop in self._after_recovery:
            loop.start(now=True)

    def cancel(self) -> None:
        """Stop all, without waiting for work under way, except the heartbeat."""
        for loop in (self._counters, self._status, *self._after_recovery):
            loop.cancel()

    def stop(self) -> None:
        """Stop the heartbeat."""
        self._heartbeat.stop()

    def _check_space(self) -> Deferred[HostFault | None]:
        """Check the disk space for the running job, for ``/health`` and for uploads."""
        checking = self._parts.disk.check()
        self._parts.scheduler.check_space()
        self._parts.upload_space.abort_if_low()
        return checking
