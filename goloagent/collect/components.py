"""The object graph of ``golo collect``: that of an agent which runs no load tests."""

from __future__ import annotations

from functools import partial
from resource import RLIM_INFINITY
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.server import Site

from goloagent.collect.journal import DESCRIPTORS, cut, marks_of, read_marks
from goloagent.collect.push import MAX_BODY_BYTES
from goloagent.collect.receiver import MAX_LIVE, Receiver
from goloagent.collect.routes import PushRoutes
from goloagent.concurrency.clock import now
from goloagent.concurrency.periodic import Periodic
from goloagent.core.descriptor_budget import reserve_of
from goloagent.filesystem.durable import SyncFailed
from goloagent.host.checks import HostChecks, check_tasks, check_writable
from goloagent.host.descriptors import needed_for, raise_limit
from goloagent.http.api.health import HealthRoutes
from goloagent.http.api.jobs import JobRoutes
from goloagent.http.api.metrics import MetricsRoutes
from goloagent.http.api.router import build_api
from goloagent.http.server.limits import Limits
from goloagent.http.server.site import build_site
from goloagent.jobs.job import State
from goloagent.sandbox.supervisor import ProcessSupervisor
from goloagent.wal.run_directory import LogPathError
from goloagent.wiring.components import Components
from goloagent.wiring.metrics import delivery_of

IDLE_CHECK_SECONDS = 1.0


class NoLoadTests(ProcessSupervisor):
    """Supervises nothing: no process is a load test."""

    isolation = "none"
    files = "owner"

    def __init__(self) -> None:
        self._current = None
        self.adopts_orphans = False

    async def reap_leftovers(self, job_id: str) -> None:
        """Do nothing."""


class CollectComponents(Components):
    """The components of a collector; see `Components`."""

    _log = Logger()

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # Each output may read the log and the seconds of a job.
        per_job = DESCRIPTORS + 2 * len(self.settings.outputs)
        connections = self.settings.max_connections
        limit = raise_limit(connections, MAX_LIVE * per_job)
        if limit == RLIM_INFINITY:
            limit = needed_for(connections) + MAX_LIVE * per_job
        max_live = max(1, min(MAX_LIVE, (limit - needed_for(connections)) // per_job))
        self.max_connection_files = limit - max_live * per_job
        self.receiver = Receiver(
            self.reactor,
            now,
            self.threads.bulk.run,
            self.settings.logs,
            lambda job_id: self.store.get(job_id) is not None,
            lambda job: self.syncer.save(partial(self.jobs.add, job)),
            self.jobs.save_soon,
            self.delivery,
            args[-1],
            self.settings.max_log_bytes,
            max_live,
        )
        self.idle = Periodic(self.reactor, IDLE_CHECK_SECONDS, "idle-jobs", self.receiver.end_idle)
        self.state.tasks.add(self.idle)

    async def restore_logs(self) -> None:
        """Remove results from the logs of interrupted jobs that no response has confirmed."""
        for job in self.store.unsettled():
            if job.state is State.RUNNING:
                await self.threads.bulk.run(self._restore_log, job.spec.name, job.id)

    async def open(self) -> None:
        """Take pushes, after the recovery of jobs."""
        names = [(run.name, run.job_id) for run in self.store.settled_runs()]
        names += [(job.spec.name, job.id) for job in self.store.unsettled()]
        marks: Deferred[Any] = self.threads.bulk.run(marks_of, self.settings.logs, names)
        self.receiver.open(await marks)
        self.idle.start()

    def _restore_log(self, name: str, job_id: str) -> None:
        try:
            found = read_marks(self.settings.logs, name, job_id)
            cut(self.settings.logs, name, job_id, 0 if found is None else found[2])
        except SyncFailed:
            raise
        except (OSError, LogPathError) as error:  # damage, after which nothing more is removed
            self._log.warn(
                "the log of job {job} may have results that are sent again: {error}",
                job=job_id,
                error=error,
            )

    def _make_checks(self) -> HostChecks:
        checks = (lambda: check_writable(self.disk_space.directories), check_tasks)
        return HostChecks(checks, self.threads.critical.run, self.reactor.seconds)

    def _make_processes(self) -> ProcessSupervisor:
        self.state.set_protections(processes=NoLoadTests.isolation, files=NoLoadTests.files)
        return NoLoadTests()


def make_collect_site(parts: Components) -> Site:
    """Return the factory of HTTP connections."""
    assert isinstance(parts, CollectComponents)
    settings = parts.settings
    api = build_api(
        PushRoutes(parts.receiver, parts.reactor, parts.health.before_write),
        JobRoutes(
            store=parts.store,
            committer=parts.syncer,
            cancel=parts.receiver.end_job,
            delivery=partial(delivery_of, parts),
            abandon=parts.control.abandon,
            health=parts.health.before_write,
        ),
        HealthRoutes(parts.health.current),
        MetricsRoutes(parts.exporter.expose),
        token=parts.access.token is not None,
    )
    return build_site(
        api,
        parts.access,
        parts.artifacts,
        settings.max_upload_bytes,
        parts.reactor,
        parts.threads.bulk.run,
        limits=Limits(
            settings.max_connections,
            settings.max_connections_per_peer,
            reserve_of(parts.max_connection_files, settings.max_connections),
        ),
        on_refusal=parts.exporter.count_refusal,
        max_request_bytes=MAX_BODY_BYTES,
    )
