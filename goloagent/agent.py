"""The agent as one service: starts everything in its order and stops it in its order.

What there is to start and stop is put together in `composition`.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from pathlib import Path

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from goloagent.composition import Composition, now
from goloagent.disk.retention import SWEEP_SECONDS
from goloagent.host.condition import DISK_FAILED, Condition
from goloagent.host.listening import close, listen
from goloagent.host.notify import notifier
from goloagent.host.premises import CannotStart, take
from goloagent.host.scheduling import give_way
from goloagent.jobs import outcome
from goloagent.jobs.job import Cause
from goloagent.periodic import Periodic
from goloagent.settings import Settings

# From SIGTERM to the end, everything in.
STOP_SECONDS = 20.0
LEAST_DRAIN_SECONDS = 2.0
SPACE_SECONDS = 1.0
ACCOUNT_SECONDS = 1.0
BEAT_SECONDS = 10.0


class Agent(Service):
    """The agent with `settings`; opens nothing before it is started."""

    _log = Logger()

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._notifier = notifier(os.environ, os.getpid())
        self._condition = Condition(self._notifier)
        self._ports: list[IListeningPort] = []
        self._disk_failure: Cause | None = None

    def startService(self) -> None:
        """Open, recover and listen, or end the process with one line on stderr.

        Raises:
            SystemExit: something is not to be had; nothing listens then.
            CannotStart: the same, in a daemon.
        """
        try:
            self._premises = take(self._settings, now)
            self._parts = Composition(
                self._settings, self._premises, self._condition, self._disk_failed
            )
            give_way()  # the threads that start next do so too
            self._start_threads()
            self._ports = listen(self._parts.reactor, self._settings.listen, self._parts.front())
        except CannotStart as error:
            self._log.critical("cannot start: {error}", error=error)
            if _is_daemon():
                raise  # to the twistd that waits for the daemon: it prints it
            # This twistd has made sys.stderr a part of the log.
            print(f"golo-agent: {error}", file=sys.__stderr__, flush=True)
            raise SystemExit(1) from None
        parts, tasks, clock = self._parts, self._condition.tasks, self._parts.reactor
        beat_seconds = self._notifier.watchdog_seconds or BEAT_SECONDS
        self._beat_loop = Periodic(clock, beat_seconds, "heartbeat", self._condition.beat)
        self._account_loop = Periodic(clock, ACCOUNT_SECONDS, "account", parts.meter.account.look)
        self._space_loop = Periodic(
            clock, SPACE_SECONDS, "disk-space", parts.supervisor.check_space
        )
        self._sweep_loop = Periodic(clock, SWEEP_SECONDS, "retention", parts.retention.sweep)
        tasks.add(self._beat_loop, self._account_loop, self._space_loop, self._sweep_loop)
        tasks.add(parts.syncer.loop, parts.lateness.loop, parts.pulse.loop)
        parts.delivery.start()
        parts.syncer.start()
        parts.lateness.start()
        self._beat_loop.start(now=True)
        self._checking = ensureDeferred(parts.check_collector())
        self._checking.addErrback(lambda failure: failure.trap(CancelledError))
        self._beginning = ensureDeferred(self._begin())
        self._beginning.addErrback(lambda failure: failure.trap(CancelledError))
        parts.reactor.callWhenRunning(self._take_sigterm)
        super().startService()

    async def _begin(self) -> None:
        """Take up what an earlier life left, and begin with the queue."""
        parts = self._parts
        for job in self._premises.store.unsettled():
            parts.meter.observe(job)
        # First what the database knows: what is restored is taken up as it is found.
        await parts.recovery.recover()
        if self._premises.damage is not None:
            self._condition.notice(self._premises.damage)
            await parts.recovery.restore(self._settings.logs, parts.binaries.kept)
            self._premises.restored()
        self._account_loop.start(now=True)
        parts.supervisor.start()
        self._condition.ready()
        self._space_loop.start(now=True)
        self._sweep_loop.start(now=True)
        parts.pulse.start()
        await parts.remover.remove(self._premises.leftovers)

    def stopService(self) -> Deferred[None]:
        """Stop in order: requests, the running job, its results; in 20 s at most."""
        super().stopService()
        return ensureDeferred(self._stop())

    async def _stop(self) -> None:
        parts, failure = self._parts, self._disk_failure
        deadline = parts.reactor.seconds() + STOP_SECONDS
        if failure is None:
            self._condition.become("stopping", "the agent was told to end")
            await close(self._ports)
        self._beginning.cancel()
        self._checking.cancel()
        for loop in (self._space_loop, self._sweep_loop, self._account_loop):
            loop.cancel()
        if failure is not None:
            # What cannot be committed would only be sent again.
            await parts.delivery.stop(0.0)
        await parts.supervisor.stop(failure or outcome.AGENT_STOPPED)
        parts.pulse.stop()
        if failure is None:
            await parts.delivery.stop(max(LEAST_DRAIN_SECONDS, deadline - parts.reactor.seconds()))
        parts.availability.stopped()
        parts.remover.stop()
        await close(self._ports)
        await parts.collector.client.close()
        await parts.syncer.stop()
        parts.lateness.stop()
        if self._disk_failure is None:
            # To close the database is to trust the disk with what it holds.
            self._premises.leave()
        self._beat_loop.stop()

    def _start_threads(self) -> None:
        try:
            self._parts.threads.start()
        except RuntimeError as error:
            raise CannotStart(
                f"{error}: raise the limit on tasks (TasksMax=, ulimit -u, or the container's)"
            ) from None

    def _disk_failed(self, sentence: str) -> None:
        """Commit nothing any more, and end: after a restart the disk says what it has."""
        self._log.critical("{sentence}; the agent ends", sentence=sentence)
        self._parts.meter.sync_failed()
        stopping = self._condition.health.status == "stopping"
        self._condition.become(DISK_FAILED, sentence)
        self._disk_failure = Cause("disk-failed", f"The agent ended: {sentence}.")
        self._premises.store.freeze()
        atexit.register(_exit_as_failed)
        if not stopping:
            self._parts.reactor.stop()

    def _take_sigterm(self) -> None:
        """Have SIGTERM end in exit code 0: twistd alone would end by the signal."""
        reactor = self._parts.reactor

        def stop(*_: object) -> None:
            # A signal interrupts the reactor anywhere: let it stop between two events.
            reactor.callFromThread(reactor.stop)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

        signal.signal(signal.SIGTERM, stop)


def _is_daemon() -> bool:
    """Tell whether twistd has daemonized: standard error then leads nowhere."""
    return os.fstat(2).st_rdev == Path(os.devnull).stat().st_rdev


def _exit_as_failed() -> None:
    """End with exit code 1, and without closing the database."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
