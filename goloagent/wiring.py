"""The object graph of an agent: every component with the dependencies that it needs.

The only module that uses the global reactor. It starts nothing and opens no port.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit
from typing import Any

from twisted.internet._resolver import GAIResolver
from twisted.internet.defer import ensureDeferred
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.web.server import Site

from goloagent.artifacts.removal import log_eviction, remover
from goloagent.artifacts.store import ArtifactStore
from goloagent.artifacts.upload_space import UploadSpace
from goloagent.concurrency.threads import Threads
from goloagent.core.descriptor_budget import reserve_of
from goloagent.core.host_fault import HostFault
from goloagent.filesystem.disk_space import DiskSpaceGuard
from goloagent.host.agent_health import AgentHealth
from goloagent.host.checks import HostChecks, check_rpc_port, check_tasks, check_writable
from goloagent.host.health import HealthState
from goloagent.host.preflight import ProcessResources, own_user
from goloagent.host.rpc_address import check_rpc_host
from goloagent.host.startup_error import StartupError, reason, unusable
from goloagent.host.token import read_token
from goloagent.http.api.binaries import BinaryRoutes
from goloagent.http.api.health import HealthRoutes
from goloagent.http.api.jobs import JobRoutes
from goloagent.http.api.logs import LogRoutes
from goloagent.http.api.metrics import MetricsRoutes
from goloagent.http.api.router import build_api
from goloagent.http.api.statistics import StatisticsRoutes
from goloagent.http.auth.access import AccessPolicy
from goloagent.http.server.limits import Limits
from goloagent.http.server.site import build_site
from goloagent.http.streaming.event_bus import JobEventBus
from goloagent.http.streaming.events import EventRoutes
from goloagent.http.ui.assets import PageRoutes
from goloagent.jobs.damaged_rows import DamagedRows
from goloagent.jobs.queue_files import QueuedJobs
from goloagent.jobs.repository import JobRepository
from goloagent.load.connector import connect, is_free, rpc_endpoint
from goloagent.metrics.exporter import Gauges, PrometheusExporter
from goloagent.metrics.loop_lag import EventLoopLag
from goloagent.outputs.availability import Availability
from goloagent.outputs.dead_letter import open_for_delivery
from goloagent.outputs.http.dialer import refuse_load_tests
from goloagent.outputs.http.proxy import ProxySettingError, find
from goloagent.outputs.http.tls import FileError, Tls
from goloagent.outputs.http.token import TokenFile
from goloagent.outputs.no_output import NoOutput
from goloagent.outputs.output import Output
from goloagent.outputs.sinks.collector import make_collector_sink
from goloagent.outputs.status import CollectorStatus
from goloagent.outputs.worker import OutputWorker
from goloagent.runs.control import JobControl
from goloagent.runs.dependencies import RunDependencies
from goloagent.runs.monitor import RunMonitor
from goloagent.runs.preparation import RunPreparer
from goloagent.runs.recovery import Recovery
from goloagent.runs.restoration import Restoration
from goloagent.runs.run import Run
from goloagent.runs.scheduler import JobScheduler
from goloagent.runs.timeouts import Timeouts
from goloagent.sandbox.isolation import NotAllowed
from goloagent.sandbox.supervisor import ProcessSupervisor
from goloagent.sdk import archive
from goloagent.settings import AUTO, Settings
from goloagent.wal.leftovers import Remover
from goloagent.wal.retention import Ages, Retention
from goloagent.wal.run_files import RunFiles
from goloagent.wal.stats_cache import SummaryCache
from goloagent.wal.syncer import WalSyncer

# Longer than this, a check of free space counts as a fault: it usually takes microseconds.
SLOW_CHECK_SECONDS = 5.0


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(timezone.utc)


def _threads(reactor: Any) -> Threads:
    """Return the worker threads, and have `reactor` look up names of hosts in them.

    Its own pool would start threads when they are needed, and its end would wait for them.
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
        # Twisted goes by the wall clock: one that is set back would hold up every timer.
        self.reactor.seconds = time.monotonic  # type: ignore[method-assign]
        self.threads = _threads(self.reactor)
        # Twisted would log the start and stop of each connection attempt.
        Factory.noisy = False
        self._settings = settings
        self._store = resources.store
        self._state = state
        self._run_files = RunFiles(settings.logs)
        self.summaries = SummaryCache(settings.logs, self.threads.bulk.run)
        self._events = JobEventBus(lambda job: self.delivery.status(job))
        self._queue_files = QueuedJobs(resources.remains.queue)
        self.remover = Remover(self.threads.bulk.run)
        self._disk_space = DiskSpaceGuard(
            (settings.logs, settings.state), settings.min_free_bytes, settings.max_log_bytes
        )
        self.checks = self._make_checks()
        self.disk = HostChecks(
            (self._disk_space.fault,),
            self.threads.critical.run,
            self.reactor.seconds,
            SLOW_CHECK_SECONDS,
        )
        self._rpc = rpc_endpoint(self.reactor, settings.rpc_host, settings.rpc_port)
        self.health = self._make_health()
        self.upload_space = UploadSpace(partial(self._disk_space.upload_room, settings.state))
        self._access = self._make_access()
        self._processes = self._make_process_supervisor()
        self.artifacts = self._make_artifacts()
        self.leftovers = [*resources.leftovers, *self._open_artifacts()]
        self.exporter = self._make_exporter()
        self.loop_lag = EventLoopLag(reactor, self.exporter.observe_loop_lag)
        self.output = self._make_output()
        self._jobs = JobRepository(
            self._store,
            subscribers=(
                self.exporter.observe,
                self._queue_files.observe,
                self._events.publish_state,
            ),
            write_manifest=self._run_files.write_manifest,
            warn=lambda sentence: self._log.warn("{sentence}", sentence=sentence),
        )
        self._store.report_to(DamagedRows(state.add_notice))
        self.syncer = WalSyncer(
            reactor,
            self.threads.critical.run,
            self._store,
            self.artifacts,
            self._jobs.save_again,
            disk_failed,
        )
        self.delivery = self._make_delivery()
        dependencies = self._make_run_dependencies(resources)
        self.scheduler = JobScheduler(
            self._store,
            make_run=lambda job: Run(job, dependencies),
            end_survivors=lambda job: ensureDeferred(self._processes.reap_leftovers(job.id)),
            now=now,
            clock=reactor,
            save=self._jobs.save,
        )
        self.monitor = RunMonitor(reactor, now, lambda: self.scheduler.running, self._events)
        self.recovery = Recovery(
            self._store,
            self._run_files.open,
            self.delivery,
            self._jobs.save_soon,
            now,
            self.threads.bulk.run,
            state.add_notice,
            self._run_files.write_statistics,
            self._run_files.stderr_tail,
            self._run_files.read_manifest,
        )
        self.restoration = Restoration(
            self._store,
            resources.remains,
            self._queue_files,
            self.recovery,
            self._jobs.save_soon,
            now,
            self.threads.bulk.run,
            state.add_notice,
        )
        self.retention = Retention(
            self._store,
            settings.logs,
            settings.keep_days,
            settings.keep_bytes,
            settings.keep_jobs,
            Ages(self.reactor.seconds, now),
            self.threads.bulk.run,
        )

    def build_site(self) -> Site:
        """Return what is to be served to clients."""
        control = JobControl(self.scheduler, self._jobs, self.delivery)
        application = build_api(
            BinaryRoutes(self.artifacts, self.syncer),
            JobRoutes(
                store=self._store,
                jobs=self._jobs,
                committer=self.syncer,
                submit=self.scheduler.start_next,
                cancel=control.cancel,
                delivery=self.delivery.status,
                abandon=control.abandon,
                now=now,
                health=self.health.before_write,
            ),
            LogRoutes(self._store, self._run_files.open, self.reactor),
            EventRoutes(self._store, self._events, self.reactor),
            StatisticsRoutes(
                self._store,
                self.scheduler.statistics_of,
                self.summaries.get,
                self.reactor,
            ),
            HealthRoutes(self.health.current),
            MetricsRoutes(self.exporter.expose),
            PageRoutes(),
            token=self._access.token is not None,
        )
        settings = self._settings
        return build_site(
            application,
            self._access,
            self.artifacts,
            settings.max_upload_bytes,
            self.reactor,
            self.threads.bulk.run,
            self.exporter.count_upload_bytes,
            Limits(
                settings.max_connections,
                settings.max_connections_per_peer,
                reserve_of(getrlimit(RLIMIT_NOFILE)[0], settings.max_connections),
            ),
            self.exporter.count_refusal,
            self.upload_space,
        )

    def _make_access(self) -> AccessPolicy:
        settings = self._settings
        token = read_token(settings.token_file)
        self._state.set_protections(
            run_as=settings.run_as or own_user(),
            token=token is not None,
            min_free_bytes=settings.min_free_bytes,
        )
        hosts = None if settings.no_auth else ()
        return AccessPolicy(token=token, networks=settings.allow_from, hosts=hosts)

    def _make_output(self) -> Output | None:
        settings = self._settings.collector
        if settings is None:
            return None
        try:
            proxy = find(settings.url, os.environ)
            tls = Tls.load(settings.insecure, settings.ca, settings.certificate, settings.key)
            token = None if settings.token_file is None else TokenFile(settings.token_file)
        except (ProxySettingError, FileError) as error:
            raise StartupError(str(error)) from None
        made = make_collector_sink(
            self.reactor, settings.url, tls, proxy, token, refuse_load_tests(self._processes.holds)
        )
        url, seconds = str(settings.url), self.reactor.seconds
        return Output(made, Availability(url, seconds, now, lambda: self.exporter.counters.pending))

    def _make_delivery(self) -> OutputWorker | NoOutput:
        if self.output is None:
            return NoOutput(self.reactor, self._jobs.save_soon)
        return OutputWorker(
            self.reactor,
            now,
            self.output.availability.observed(self.exporter.instrument(self.output.collector.send)),
            partial(open_for_delivery, self._run_files),
            self._jobs.save_soon,
            lambda fault: self._state.tasks.report("delivery", fault),
            self._state.add_notice,
        )

    def _make_process_supervisor(self) -> ProcessSupervisor:
        settings, wanted = self._settings, self._settings.containment
        try:
            archive.install(settings.state)
        except OSError as error:
            self._state.add_notice(
                f"load tests in Python cannot import goloagent.sdk: {settings.state}/"
                f"{archive.NAME} cannot be written: {reason(error)}; restart the agent to retry"
            )
        try:
            processes = ProcessSupervisor(
                self.reactor,
                settings.state,
                settings.run_as,
                settings.rpc_address,
                None if wanted == AUTO else wanted,
                settings.own_paths,
                () if settings.collector is None else settings.collector.certificates,
                self.threads.critical.run,
            )
        except NotAllowed as error:
            raise StartupError(f"--containment {wanted}: {error}") from None
        self._state.set_protections(processes=processes.isolation, files=processes.files)
        return processes

    def _make_artifacts(self) -> ArtifactStore:
        settings = self._settings
        return ArtifactStore(
            settings.state,
            self._store,
            now,
            self._disk_space.check_free_space,
            settings.max_binaries_bytes,
            log_eviction,
            remover(self.threads.bulk.run),
        )

    def _open_artifacts(self) -> list[Path]:
        try:
            return self.artifacts.open()
        except OSError as error:
            raise unusable("--state", error.filename or self.artifacts.directory, error) from None

    def _make_exporter(self) -> PrometheusExporter:
        directories = {"logs": self._settings.logs, "state": self._settings.state}
        present = Gauges(
            ready=lambda: self.health.current().ready,
            jobs=self._store.count,
            delivery=lambda: self.delivery.state,
            log_bytes=self._run_files.size,
            free_bytes=lambda: {
                name: self._disk_space.free_bytes(directory)
                for name, directory in directories.items()
            },
        )
        return PrometheusExporter(self.reactor, now, present)

    def _make_run_dependencies(self, resources: ProcessResources) -> RunDependencies:
        settings = self._settings
        check_rpc_host(settings.rpc_host)
        preparer = RunPreparer(
            work=resources.work,
            logs=settings.logs,
            artifacts=self.artifacts,
            user=settings.run_as,
            fault=self.health.check,
            in_thread=self.threads.critical.run,
            track=lambda job, log: self.syncer.track(log, self._run_files.open_sync(job)),
            notice=self._state.add_notice,
            stopped=self.remover.stopped,
        )
        return RunDependencies(
            clock=self.reactor,
            now=now,
            prepare=preparer.prepare,
            spawn=self._processes.spawn,
            connect=lambda client: connect(self.reactor, self._rpc, client),
            is_foreign_listener=self._processes.is_foreign_listener,
            save=self._jobs.save,
            commit=lambda job: self.syncer.save(partial(self._jobs.change, job)),
            delivery=self.delivery,
            check_space=self._disk_space.check_run,
            keep_statistics=self.summaries.put,
            in_thread=self.threads.bulk.run,
            timeouts=Timeouts(
                start_seconds=settings.start_timeout_seconds,
                drain_seconds=settings.drain_timeout_seconds,
                output_seconds=settings.output_timeout_seconds,
                quiet_seconds=settings.quiet_period_seconds,
                grace_seconds=settings.grace_seconds,
            ),
        )

    def _make_checks(self) -> HostChecks:
        settings = self._settings
        directories = self._disk_space.directories

        def rpc_port() -> HostFault | None:
            if self.scheduler.running is not None:
                return None  # it is the load test that listens
            return check_rpc_port(settings.rpc_host, settings.rpc_port)

        checks = (lambda: check_writable(directories), check_tasks, rpc_port)
        return HostChecks(checks, self.threads.critical.run, self.reactor.seconds)

    def _make_health(self) -> AgentHealth:
        return AgentHealth(
            self._state,
            self.disk,
            self.checks,
            self._disk_space.fault,
            lambda: self.scheduler.fault,
            self._settings.rpc_address,
            lambda: is_free(self._rpc),
            self._collector_status,
        )

    def _collector_status(self) -> CollectorStatus:
        if self.output is None:
            return CollectorStatus(pending=self.exporter.counters.pending)
        return self.output.availability.status

    @property
    def adopts_orphans(self) -> bool:
        """Whether what load tests leave behind becomes a child of the agent."""
        return self._processes.adopts_orphans
