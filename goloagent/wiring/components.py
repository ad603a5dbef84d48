"""The object graph of an agent, built on the global reactor. Starts nothing, opens no port."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet._resolver import GAIResolver
from twisted.internet.defer import ensureDeferred
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from goloagent.artifacts.removal import log_eviction, remover
from goloagent.artifacts.store import ArtifactStore
from goloagent.artifacts.upload_space import UploadSpace
from goloagent.concurrency.clock import now
from goloagent.concurrency.periodic import Periodic
from goloagent.concurrency.threads import Threads
from goloagent.core.output_schemes import COLLECTOR
from goloagent.filesystem.disk_space import DiskSpaceGuard
from goloagent.host.agent_health import AgentHealth
from goloagent.host.checks import HostChecks, check_rpc_port, check_tasks, check_writable
from goloagent.host.health import HealthState
from goloagent.host.preflight import ProcessResources, own_user
from goloagent.host.rpc_address import check_rpc_host
from goloagent.host.startup_error import unusable
from goloagent.host.token import read_token
from goloagent.http.auth.access import AccessPolicy
from goloagent.http.streaming.event_bus import KEEPALIVE_SECONDS, JobEventBus
from goloagent.jobs.damaged_rows import DamagedRows
from goloagent.jobs.queue_files import QueuedJobs
from goloagent.jobs.repository import JobRepository
from goloagent.load.connector import is_free, rpc_endpoint
from goloagent.metrics.loop_lag import EventLoopLag
from goloagent.outputs.status import CollectorStatus
from goloagent.runs.control import JobControl
from goloagent.runs.recovery import Recovery
from goloagent.runs.restoration import Restoration
from goloagent.runs.run import Run
from goloagent.runs.scheduler import JobScheduler
from goloagent.sandbox.supervisor import ProcessSupervisor
from goloagent.settings import Settings
from goloagent.wal.leftovers import Remover
from goloagent.wal.retention import Ages, Retention
from goloagent.wal.run_files import RunFiles
from goloagent.wal.stats_cache import SummaryCache
from goloagent.wal.syncer import WalSyncer
from goloagent.wiring.metrics import delivery_of, make_exporter
from goloagent.wiring.outputs import make_outputs
from goloagent.wiring.processes import make_process_supervisor
from goloagent.wiring.run import make_run_dependencies

# A check of free space that takes longer is a fault; it usually takes microseconds.
SLOW_CHECK_SECONDS = 5.0


def _threads(reactor: Any) -> Threads:
    """Return the worker threads, in which `reactor` resolves host names from now on.

    The reactor's own pool starts threads on demand, and its stop waits for them.
    """
    threads = Threads(reactor)
    pool: Any = threads.bulk  # all that the resolver calls is callInThreadWithCallback
    reactor.installNameResolver(GAIResolver(reactor, lambda: pool))
    return threads


class Components:
    """The components of an agent.

    Args:
        resources: directories, locks and the database, acquired before.
        state: the state of the agent and its notices.
        disk_failed: called once, with a sentence, after a failed sync.

    Raises:
        StartupError: an option asks for something unavailable.
    """

    _log = Logger()

    def __init__(
        self,
        settings: Settings,
        resources: ProcessResources,
        state: HealthState,
        disk_failed: Callable[[str], None],
    ) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        # Twisted uses the wall clock; setting that back would delay every timer.
        self.reactor.seconds = time.monotonic  # type: ignore[method-assign]
        self.threads = _threads(self.reactor)
        Factory.noisy = False  # or Twisted logs the start and stop of each connection attempt
        self.settings = settings
        self.store = resources.store
        self.state = state
        self.run_files = RunFiles(settings.logs)
        self.summaries = SummaryCache(settings.logs, self.threads.bulk.run)
        self.events = JobEventBus(lambda job: delivery_of(self, job))
        self.queue_files = QueuedJobs(resources.scanner.queue)
        self.remover = Remover(self.threads.bulk.run)
        self.disk_space = DiskSpaceGuard(
            (settings.logs, settings.state), settings.min_free_bytes, settings.max_log_bytes
        )
        self.checks = self._make_checks()
        self.disk = HostChecks(
            (self.disk_space.fault,),
            self.threads.critical.run,
            self.reactor.seconds,
            SLOW_CHECK_SECONDS,
        )
        self.rpc = rpc_endpoint(self.reactor, settings.rpc_host, settings.rpc_port)
        self.health = self._make_health()
        self.upload_space = UploadSpace(partial(self.disk_space.upload_room, settings.state))
        self.access = self._make_access()
        self.processes = self._make_processes()
        self.artifacts = self._make_artifacts()
        self.leftovers = [*resources.leftovers, *self._open_artifacts()]
        self.exporter = make_exporter(self)
        self.loop_lag = EventLoopLag(reactor, self.exporter.observe_loop_lag)
        subscribers = self.exporter.observe, self.queue_files.observe, self.events.publish_state
        self.jobs = JobRepository(
            self.store,
            subscribers,
            self.run_files.write_manifest,
            lambda sentence: self._log.warn("{sentence}", sentence=sentence),
        )
        self.store.report_to(DamagedRows(state.add_notice))
        self.syncer = WalSyncer(
            reactor,
            self.threads.critical.run,
            self.store,
            self.artifacts,
            self.jobs.save_again,
            disk_failed,
        )
        self.delivery = make_outputs(self)
        check_rpc_host(settings.rpc_host)
        dependencies = make_run_dependencies(self, resources.work)
        self.scheduler = JobScheduler(
            self.store,
            make_run=lambda job: Run(job, dependencies),
            reap_leftovers=lambda job: ensureDeferred(self.processes.reap_leftovers(job.id)),
            now=now,
            clock=reactor,
            save=self.jobs.save,
        )
        self.control = JobControl(self.scheduler, self.jobs, self.delivery)
        self.keepalive = Periodic(reactor, KEEPALIVE_SECONDS, "events", self.events.keep_alive)
        self.recovery = Recovery(
            self.store,
            self.run_files.open,
            self.delivery,
            self.jobs.save_soon,
            now,
            self.threads.bulk.run,
            state.add_notice,
            self.run_files.write_statistics,
            self.run_files.stderr_tail,
            self.run_files.read_manifest,
            self.run_files.timeline_totals,
        )
        self.restoration = Restoration(
            self.store,
            resources.scanner,
            self.queue_files,
            self.recovery,
            self.jobs.save_soon,
            now,
            self.threads.bulk.run,
            state.add_notice,
        )
        self.retention = Retention(
            self.store,
            settings.logs,
            settings.keep_days,
            settings.keep_bytes,
            settings.keep_jobs,
            Ages(self.reactor.seconds, now),
            self.threads.bulk.run,
            self.control.abandon,
        )

    def _make_access(self) -> AccessPolicy:
        settings = self.settings
        token = read_token(settings.token_file)
        self.state.set_protections(
            run_as=settings.run_as or own_user(),
            token=token is not None,
            min_free_bytes=settings.min_free_bytes,
        )
        hosts = None if settings.no_auth else ()
        return AccessPolicy(token=token, networks=settings.allow_from, hosts=hosts)

    def _make_processes(self) -> ProcessSupervisor:
        return make_process_supervisor(self)

    def _make_artifacts(self) -> ArtifactStore:
        return ArtifactStore(
            self.settings.state,
            self.store,
            now,
            self.disk_space.check_free_space,
            self.settings.max_binaries_bytes,
            log_eviction,
            remover(self.threads.bulk.run),
        )

    def _open_artifacts(self) -> list[Path]:
        try:
            return self.artifacts.open()
        except OSError as error:
            raise unusable("--state", error.filename or self.artifacts.directory, error) from None

    def _make_checks(self) -> HostChecks:
        host, port = self.settings.rpc_host, self.settings.rpc_port
        checks = (
            lambda: check_writable(self.disk_space.directories),
            check_tasks,
            lambda: check_rpc_port(host, port, self.scheduler.running is not None),
        )
        return HostChecks(checks, self.threads.critical.run, self.reactor.seconds)

    def _make_health(self) -> AgentHealth:
        return AgentHealth(
            self.state,
            self.disk,
            self.checks,
            self.disk_space.fault,
            lambda: self.scheduler.fault,
            self.settings.rpc_address,
            lambda: is_free(self.rpc),
            self._collector_status,
            lambda: self.delivery.health(),
        )

    def _collector_status(self) -> CollectorStatus:
        collector = self.delivery.outputs.get(COLLECTOR)
        if collector is None:
            return CollectorStatus(pending=self.exporter.counters.pending)
        return collector.availability.status
