"""The agent as a Twisted service: starts the components of `wiring` in order, and stops them."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from typing import Any, cast

from twisted.application.service import IServiceCollection, Service
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import ILogObserver, Logger
from twisted.python.failure import Failure

from goloagent.concurrency.clock import now
from goloagent.host.announcement import announce
from goloagent.host.cpu_scheduling import use_batch_scheduling
from goloagent.host.health import DISK_FAILED, START_FAILED, HealthState
from goloagent.host.listeners import close, listen, url_of
from goloagent.host.preflight import acquire
from goloagent.host.signals import Signals
from goloagent.host.startup_error import StartupError
from goloagent.host.stop import Guard, OrderedStop
from goloagent.host.systemd import notifier
from goloagent.host.terminal import Terminal
from goloagent.jobs.job import FailureReason
from goloagent.runs import outcome
from goloagent.settings import Settings
from goloagent.wiring.components import Components
from goloagent.wiring.loops import Loops
from goloagent.wiring.site import make_site

# From the signal to the exit, and what each phase of the stop reserves for later ones.
STOP_SECONDS = 20.0
_FOR_RUN = 2.5
_FOR_DRAIN = 1.5
_FOR_SYNC = 0.4
_FOR_CLOSE = 0.2
# Later than the deadline, because a busy host must not look like a hanging agent.
GUARD_SECONDS = STOP_SECONDS + 2.0


class AgentService(Service):
    """The agent with `settings`; opens nothing before it starts. Reports errors on `terminal`.

    Args:
        open_log: opens the log, if it is not twistd's.
    """

    components: type[Components] = Components
    site = staticmethod(make_site)
    announce = staticmethod(announce)
    _log = Logger()

    def __init__(
        self,
        settings: Settings,
        terminal: Terminal,
        open_log: Callable[[], ILogObserver] | None = None,
    ) -> None:
        self._settings = settings
        self._terminal = terminal
        self._open_log = open_log
        self._state = HealthState(notifier(os.environ, os.getpid()))
        self._ports: list[IListeningPort] = []
        self._disk_failure: FailureReason | None = None
        self._start_failed = self._stopping = False
        self._signals = Signals(self._on_stop_signal, self._on_ignored_signal)
        self._guard = Guard(GUARD_SECONDS)

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """Join the application, and set its log before twistd begins to log."""
        if self._open_log is not None:
            cast(Any, parent).setComponent(ILogObserver, self._open_log())
        super().setServiceParent(parent)

    def startService(self) -> None:
        """Open everything and listen, then recover.

        Raises:
            SystemExit: the agent cannot start, and has no port open.
            StartupError: the same, in a daemon.
        """
        self._signals.install()
        try:
            self._open()
            self._start()
        except Exception as error:
            raise self._terminal.refuse(error) from None
        self._terminal.close()
        self._recovery = ensureDeferred(self._recover())
        self._recovery.addErrback(self._recovery_failed)
        self._components.reactor.callWhenRunning(self._signals.release)
        self._components.reactor.addSystemEventTrigger("after", "shutdown", self._signals.close)
        super().startService()

    def _open(self) -> None:
        self._resources = acquire(self._settings, now)
        given = self._settings, self._resources, self._state, self._disk_failed
        self._components = self.components(*given)
        self._signals.hold()
        use_batch_scheduling()  # the threads that start next do so too
        self._start_threads()
        self._ports = listen(
            self._components.reactor, self._settings.listen, self.site(self._components)
        )
        pairs = zip(self._settings.listen, self._ports, strict=True)
        urls = [url_of(description, port.getHost()) for description, port in pairs]
        self.announce(self._settings, urls, self._state.health.protections)

    def _start(self) -> None:
        parts = self._components
        self._loops = Loops(parts)
        parts.delivery.start()
        parts.syncer.start()
        parts.loop_lag.start()
        self._loops.start()

    async def _recover(self) -> None:
        """Recover the jobs of the previous process, and start the queue."""
        parts = self._components
        for job in self._resources.store.unsettled():
            parts.exporter.observe(job)
        await parts.recovery.recover()
        if await parts.restoration.restore(self._resources.damage):
            self._resources.restored()
        self._loops.recovered()
        parts.scheduler.start()
        self._state.ready()
        self._loops.ready()
        parts.keepalive.start()
        ensureDeferred(parts.remover.remove(parts.leftovers))

    def _recovery_failed(self, failure: Failure) -> None:
        """Stop the agent, because it cannot recover the jobs of the previous process."""
        if failure.check(CancelledError):
            return  # the agent stops
        sentence = self._terminal.report(failure)
        self._state.set_status(START_FAILED, sentence)
        self._start_failed = True
        self._components.reactor.callWhenRunning(self._stop_reactor)

    def stopService(self) -> Deferred[None]:
        """Stop requests, the running job and delivery, in at most `STOP_SECONDS`."""
        super().stopService()
        self._stopping = True
        self._guard.arm()
        return ensureDeferred(self._stop())

    async def _stop(self) -> None:
        parts, failure = self._components, self._disk_failure
        stop = OrderedStop(parts.reactor, STOP_SECONDS, self._guard.enter)
        if failure is None:
            self._state.set_status("stopping", "the agent stops")
            await stop.phase("closing the listeners", lambda _: close(self._ports), _FOR_RUN)
        self._recovery.cancel()
        self._loops.cancel()
        parts.summaries.stop()
        parts.remover.stop()
        if failure is not None:
            # Results delivered now could not be committed, and would be sent again.
            await stop.phase("ending the delivery", lambda _: parts.delivery.stop(0.0), _FOR_RUN)
        cause = failure or outcome.AGENT_STOPPED
        await stop.phase("ending the running job", lambda _: parts.scheduler.stop(cause), _FOR_RUN)
        parts.keepalive.stop()
        if failure is None:
            await stop.phase("delivering results", parts.delivery.stop, _FOR_DRAIN)
        await stop.phase("closing the listeners", lambda _: close(self._ports), _FOR_SYNC)
        await stop.phase("closing connections", lambda _: parts.delivery.close(), _FOR_SYNC)
        durable = await stop.phase("syncing logs", lambda _: parts.syncer.stop(), _FOR_CLOSE)
        parts.loop_lag.stop()
        if durable and self._disk_failure is None:
            # Closing the database writes to the disk.
            durable = await stop.phase("closing the database", lambda _: self._resources.release())
        self._loops.stop()
        self._end(stop, durable)

    def _end(self, stop: OrderedStop, durable: bool) -> None:
        """Log which phases did not end, and set the exit code."""
        parts = self._components
        busy = parts.threads.unfinished
        if stop.left or busy:
            self._log.warn(
                "stopped in {seconds:.1f} s, without: {left}; calls in threads: {busy}",
                seconds=stop.elapsed,
                left=", ".join(stop.left) or "nothing",
                busy=", ".join(busy) or "none",
            )
        else:
            self._log.info("stopped in {seconds:.1f} s", seconds=stop.elapsed)
        parts.threads.stop()
        self._guard.enter("the end of the process")
        if not durable or self._disk_failure is not None or self._start_failed:
            atexit.register(_exit, 1)
        elif busy:
            atexit.register(_exit, 0)

    def _start_threads(self) -> None:
        try:
            self._components.threads.start()
            self._guard.start()
        except RuntimeError as error:
            raise StartupError(
                f"{error}: raise the limit on tasks (TasksMax=, ulimit -u, or the container's)"
            ) from None

    def _disk_failed(self, sentence: str) -> None:
        """Stop without another commit; the next start reads from the disk what it has."""
        self._log.critical("{sentence}; the agent stops", sentence=sentence)
        self._components.exporter.count_sync_failure()
        stopping = self._state.health.status == "stopping"
        self._state.set_status(DISK_FAILED, sentence)
        self._disk_failure = FailureReason("disk-failed", f"The agent ended: {sentence}.")
        self._resources.store.freeze()
        if not stopping:
            self._stop_reactor()

    def _on_stop_signal(self, name: str) -> None:
        """Begin the stop; called in a signal handler."""
        self._guard.arm()
        self._components.reactor.callFromThread(self._stop_by_signal, name)

    def _stop_by_signal(self, name: str) -> None:
        if self._stopping:
            self._log.info("{name}: the agent is stopping already", name=name)
        else:
            self._log.info("{name}: the agent stops", name=name)
            self._stop_reactor()

    def _on_ignored_signal(self, name: str) -> None:
        """Log that a signal is ignored; called in a signal handler."""
        from twisted.internet import reactor

        reactor.callFromThread(  # type: ignore[attr-defined]
            self._log.info, "{name} is ignored", name=name
        )

    def _stop_reactor(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._components.reactor.stop()


def _exit(code: int) -> None:
    """Exit without waiting for threads, and without closing the database."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
