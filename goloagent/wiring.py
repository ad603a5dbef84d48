"""Makes each room's piece and gives it what it needs: the one place that knows everyone.

Touches the global reactor, starts nothing, and listens nowhere.
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

import attrs
from twisted.internet._resolver import GAIResolver
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.web.server import Site

from goloagent.artifacts.store import ArtifactStore
from goloagent.artifacts.upload_space import UploadSpace
from goloagent.concurrency.threads import Threads
from goloagent.core.descriptor_budget import reserve_of
from goloagent.core.host_fault import RPC_ADDRESS, RPC_PORT_BUSY, HostFault, status_of
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.filesystem.disk_space import DiskSpaceGuard
from goloagent.host.checks import HostChecks, check_rpc_port, check_tasks, check_writable
from goloagent.host.health import HealthState
from goloagent.host.preflight import ProcessResources, own_user
from goloagent.host.readiness import Health
from goloagent.host.rpc_address import check_rpc_host
from goloagent.host.startup_error import StartupError, reason, unusable
from goloagent.host.token import read_token
from goloagent.http.api.binaries import BinaryRoutes
from goloagent.http.api.health import HealthRoutes
from goloagent.http.api.jobs import JobRoutes
from goloagent.http.api.logs import LogRoutes
from goloagent.http.api.metrics import MetricsRoutes
from goloagent.http.api.router import api
from goloagent.http.api.statistics import StatisticsRoutes
from goloagent.http.auth.access import AccessPolicy
from goloagent.http.server.limits import Limits
from goloagent.http.server.site import site
from goloagent.http.streaming.broadcast import JobEventBus
from goloagent.http.streaming.events import EventRoutes
from goloagent.http.ui.assets import PageRoutes
from goloagent.jobs.damaged_rows import DamagedRows
from goloagent.jobs.job import Job
from goloagent.jobs.queue_files import QueuedJobs
from goloagent.jobs.repository import JobRepository
from goloagent.jobs.rows import Content
from goloagent.load.rpc_client import connect, is_free
from goloagent.metrics.exporter import Gauges, PrometheusExporter
from goloagent.metrics.loop_lag import EventLoopLag
from goloagent.outputs.availability import Availability
from goloagent.outputs.dead_letter import open_for_delivery
from goloagent.outputs.http.dialer import Address, Untrusted
from goloagent.outputs.http.proxy import ProxySettingError, find
from goloagent.outputs.http.tls import FileError, Tls
from goloagent.outputs.http.token import TokenFile
from goloagent.outputs.no_output import NoOutput
from goloagent.outputs.output import Output
from goloagent.outputs.sinks.collector import make_collector_sink
from goloagent.outputs.status import CollectorStatus
from goloagent.outputs.worker import OutputWorker
from goloagent.runs.monitor import RunMonitor
from goloagent.runs.preparation import PreparedRun, RunPreparer
from goloagent.runs.recovery import Recovery
from goloagent.runs.restoration import Restoration
from goloagent.runs.run import Run, RunDependencies
from goloagent.runs.scheduler import JobScheduler
from goloagent.sandbox.isolation import NotAllowed
from goloagent.sandbox.supervisor import ProcessSupervisor
from goloagent.sdk import archive
from goloagent.settings import AUTO, Settings
from goloagent.wal.leftovers import Remover
from goloagent.wal.retention import Ages, Retention
from goloagent.wal.run_files import RunFiles
from goloagent.wal.stats_cache import SummaryCache
from goloagent.wal.syncer import WalSyncer

# Of a look at how much is free, which is a matter of microseconds where the disk answers.
SLOW_LOOK_SECONDS = 5.0


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


class Composition:
    """The pieces of an agent with `settings` on `premises`.

    Args:
        disk_failed: told once, with a sentence, when the disk did not take something.

    Raises:
        CannotStart: something is not to be had.
    """

    _log = Logger()

    def __init__(
        self,
        settings: Settings,
        premises: ProcessResources,
        condition: HealthState,
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
        self._store = premises.store
        self._condition = condition
        self._logs = RunFiles(settings.logs)
        self.archive = SummaryCache(settings.logs, self.threads.bulk.run)
        self._broadcast = JobEventBus(lambda job: self.delivery.status(job))
        self._queued = QueuedJobs(premises.remains.queue)
        self.remover = Remover(self.threads.bulk.run)
        self._space = DiskSpaceGuard(
            (settings.logs, settings.state), settings.min_free_bytes, settings.max_log_bytes
        )
        self._shrunk: set[str] = set()
        self.checks = self._make_checks()
        self.disk = HostChecks(
            (self._space.fault,), self.threads.critical.run, self.reactor.seconds, SLOW_LOOK_SECONDS
        )
        self._rpc = self._rpc_endpoint()
        self.upload_space = UploadSpace(partial(self._space.upload_room, settings.state))
        self._access = self._make_access()
        self._custody = self._make_custody()
        self.binaries = self._make_binaries()
        self.leftovers = [*premises.leftovers, *self._open_binaries()]
        self.meter = self._make_meter()
        self.lateness = EventLoopLag(reactor, self.meter.late)
        self.output = self._make_output()
        self._jobs = JobRepository(
            self._store,
            subscribers=(self.meter.observe, self._queued.observe, self._broadcast.changed),
            write_account=self._logs.write_manifest,
            warn=lambda sentence: self._log.warn("{sentence}", sentence=sentence),
        )
        self._store.report_to(DamagedRows(condition.add_notice))
        self.syncer = WalSyncer(
            reactor,
            self.threads.critical.run,
            self._store,
            self.binaries,
            self._jobs.save_again,
            disk_failed,
        )
        self.delivery = self._make_delivery()
        tools = self._make_tools(premises)
        self.supervisor = JobScheduler(
            self._store,
            make_run=lambda job: Run(job, tools),
            end_survivors=lambda job: ensureDeferred(self._custody.reap_leftovers(job.id)),
            now=now,
            clock=reactor,
            save=self._jobs.save,
        )
        self.pulse = RunMonitor(reactor, now, lambda: self.supervisor.running, self._broadcast)
        self.recovery = Recovery(
            self._store,
            self._logs.open,
            self.delivery,
            self._jobs.save_soon,
            now,
            self.threads.bulk.run,
            condition.add_notice,
            self._logs.write_statistics,
            self._logs.stderr_tail,
            self._logs.read_manifest,
        )
        self.restoration = Restoration(
            self._store,
            premises.remains,
            self._queued,
            self.recovery,
            self._jobs.save_soon,
            now,
            self.threads.bulk.run,
            condition.add_notice,
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

    def front(self) -> Site:
        """Return what is to be served to clients."""
        application = api(
            BinaryRoutes(self.binaries, self.syncer),
            JobRoutes(
                store=self._store,
                jobs=self._jobs,
                commits=self.syncer,
                submit=self.supervisor.start_next,
                cancel=self._cancel,
                delivery=self.delivery.status,
                abandon=self._abandon,
                now=now,
                health=lambda: self._health(self._fault_now),
            ),
            LogRoutes(self._store, self._logs.open, self.reactor),
            EventRoutes(self._store, self._broadcast, self.reactor),
            StatisticsRoutes(
                self._store,
                self._running_statistics,
                self.archive.get,
                self.reactor,
            ),
            HealthRoutes(self.health),
            MetricsRoutes(self.meter.exposition),
            PageRoutes(),
            token=self._access.token is not None,
        )
        settings = self._settings
        return site(
            application,
            self._access,
            self.binaries,
            settings.max_upload_bytes,
            self.reactor,
            self.threads.bulk.run,
            self.meter.uploaded,
            Limits(
                settings.max_connections,
                settings.max_connections_per_peer,
                reserve_of(getrlimit(RLIMIT_NOFILE)[0], settings.max_connections),
            ),
            self.meter.refused,
            self.upload_space,
        )

    def _make_access(self) -> AccessPolicy:
        settings = self._settings
        token = read_token(settings.token_file)
        self._condition.set_protections(
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
        made = make_collector_sink(self.reactor, settings.url, tls, proxy, token, self._vet)
        url, seconds = str(settings.url), self.reactor.seconds
        return Output(made, Availability(url, seconds, now, lambda: self.meter.account.pending))

    def _make_delivery(self) -> OutputWorker | NoOutput:
        if self.output is None:
            return NoOutput(self.reactor, self._jobs.save_soon)
        return OutputWorker(
            self.reactor,
            now,
            self.output.availability.watched(self.meter.measured(self.output.collector.send)),
            partial(open_for_delivery, self._logs),
            self._jobs.save_soon,
            lambda fault: self._condition.tasks.report("delivery", fault),
            self._condition.add_notice,
        )

    async def _vet(self, ours: Address, theirs: Address) -> None:
        """Send nothing to a load test that listens where a collector or proxy should.

        Raises:
            Untrusted: one may be at the far end, the second address.
        """
        if await self._custody.holds((ours.host, ours.port), (theirs.host, theirs.port)):
            raise Untrusted(string="a process of the load test listens there")

    def _make_custody(self) -> ProcessSupervisor:
        settings, wanted = self._settings, self._settings.containment
        try:
            archive.install(settings.state)
        except OSError as error:
            self._condition.add_notice(
                f"load tests in Python cannot import goloagent.sdk: {settings.state}/"
                f"{archive.NAME} cannot be written: {reason(error)}; restart the agent to retry"
            )
        try:
            custody = ProcessSupervisor(
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
        self._condition.set_protections(processes=custody.isolation, files=custody.files)
        return custody

    def _make_binaries(self) -> ArtifactStore:
        settings = self._settings
        return ArtifactStore(
            settings.state,
            self._store,
            now,
            self._space.check_free_space,
            settings.max_binaries_bytes,
            self._dropped,
            self._remove_in_thread,
        )

    def _open_binaries(self) -> list[Path]:
        try:
            return self.binaries.open()
        except OSError as error:
            raise unusable("--state", error.filename or self.binaries.directory, error) from None

    def _remove_in_thread(self, function: Callable[..., None], *arguments: object) -> None:
        self.threads.bulk.run(function, *arguments).addErrback(
            lambda failure: self._log.warn(
                "what was uploaded cannot all be removed: {error}", error=failure.value
            )
        )

    def _dropped(self, content: Content, ids: list[str]) -> None:
        self._log.info(
            "binary {id} and {others} of the same content make room for another",
            id=ids[0],
            others=len(ids) - 1,
        )

    def _make_meter(self) -> PrometheusExporter:
        directories = {"logs": self._settings.logs, "state": self._settings.state}
        present = Gauges(
            ready=lambda: self.health().ready,
            jobs=self._store.count,
            delivery=lambda: self.delivery.state,
            log_bytes=self._logs.size,
            free_bytes=lambda: {
                name: self._space.free_bytes(directory) for name, directory in directories.items()
            },
        )
        return PrometheusExporter(self.reactor, now, present)

    def _make_tools(self, premises: ProcessResources) -> RunDependencies:
        settings = self._settings
        check_rpc_host(settings.rpc_host)
        stage = RunPreparer(
            work=premises.work,
            logs=settings.logs,
            binaries=self.binaries,
            user=settings.run_as,
            fault=self._ready,
            in_thread=self.threads.critical.run,
            follow=lambda job, log: self.syncer.track(log, self._logs.open_sync(job)),
            stopped=self.remover.stopped,
        )

        async def prepare(job: Job) -> PreparedRun:
            staged = await stage.prepare(job)
            staged.log.shrunk = lambda left: self._log_shrunk(job, left)
            return staged

        return RunDependencies(
            clock=self.reactor,
            now=now,
            prepare=prepare,
            spawn=self._custody.spawn,
            connect=lambda users: connect(self.reactor, self._rpc, users),
            is_strangers=self._custody.is_foreign_listener,
            save=self._jobs.save,
            commit=lambda job: self.syncer.save(partial(self._jobs.change, job)),
            delivery=self.delivery,
            too_much=self._space.check_run,
            keep_statistics=self.archive.put,
            in_thread=self.threads.bulk.run,
        )

    def _rpc_endpoint(self) -> IStreamClientEndpoint:
        """Return the RPC address; only a name needs a thread to be resolved."""
        host, port = self._settings.rpc_host, self._settings.rpc_port
        if isIPAddress(host):
            return TCP4ClientEndpoint(self.reactor, host, port)
        if isIPv6Address(host):
            return TCP6ClientEndpoint(self.reactor, host, port)
        return HostnameEndpoint(self.reactor, host, port)

    def _make_checks(self) -> HostChecks:
        settings = self._settings
        directories = self._space.directories

        def rpc_port() -> HostFault | None:
            if self.supervisor.running is not None:
                return None  # it is the load test that listens
            return check_rpc_port(settings.rpc_host, settings.rpc_port)

        checks = (lambda: check_writable(directories), check_tasks, rpc_port)
        return HostChecks(checks, self.threads.critical.run, self.reactor.seconds)

    async def _ready(self) -> HostFault | None:
        """Return what keeps the machine from running a job, looked at now, or None."""
        address = self._settings.rpc_address
        fault = await self.disk.check() or await self.checks.check()
        if fault is not None:
            return fault
        try:
            if await is_free(self._rpc):
                return None
        except (OSError, RuntimeError) as error:
            sentence = f"The RPC address {address} cannot be looked at: {error}."
            return HostFault(status_of(error) or RPC_ADDRESS, sentence)
        sentence = f"Another program listens on the RPC address {address}; stop it."
        return HostFault(RPC_PORT_BUSY, sentence)

    def _fault(self) -> HostFault | None:
        """Return what was found last: nothing here waits for a disk."""
        return self.disk.fault or self.supervisor.fault or self.checks.fault

    def _fault_now(self) -> HostFault | None:
        """Look at the disk too: for who is about to write to it."""
        return self._space.fault() or self._fault()

    def health(self) -> Health:
        """Return how the agent is now, as ``/health`` shows it. Answers when a disk does not."""
        return self._health(self._fault)

    def _health(self, fault: Callable[[], HostFault | None]) -> Health:
        health = self._condition.current(fault)
        if self.output is None:
            status = CollectorStatus(pending=self.meter.account.pending)
        else:
            status = self.output.availability.status
        return attrs.evolve(health, collector=status)

    @property
    def adopts_orphans(self) -> bool:
        """Whether what load tests leave behind becomes a child of the agent."""
        return self._custody.adopts_orphans

    def _cancel(self, job: Job) -> bool:
        kept = self.supervisor.cancel(job)
        self._jobs.publish(job)
        return kept

    def _abandon(self, job: Job) -> int:
        """Give up what is pending of a job that is over, and return how much it is.

        Raises:
            OSError: that cannot be saved; it is pending as before.
        """
        before = attrs.evolve(job.results)
        count = self.delivery.abandon(job)
        try:
            self._jobs.change(job)
        except OSError:
            job.results = before
            self.delivery.begin(job)
            self.delivery.end(job)
            raise
        return count

    def _log_shrunk(self, job: Job, left: int) -> None:
        """Say once that another program has cut a log while it is written."""
        if job.id not in self._shrunk:
            self._shrunk.add(job.id)
            self._condition.add_notice(
                f"out.log of job {job.id} was cut to {left} bytes by another program while it was"
                " written; what it had is gone from the log"
            )

    def _running_statistics(self, job: Job) -> RunStatistics | None:
        run = self.supervisor.running
        return run.statistics if run is not None and run.job is job else None
