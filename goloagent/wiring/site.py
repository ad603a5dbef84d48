"""The HTTP server with all its routes."""

from __future__ import annotations

from functools import partial
from resource import RLIMIT_NOFILE, getrlimit

from twisted.web.server import Site

from goloagent.concurrency.clock import now
from goloagent.core.descriptor_budget import reserve_of
from goloagent.host.identity import read_identity
from goloagent.http.api.agent import AgentRoutes
from goloagent.http.api.binaries import BinaryRoutes
from goloagent.http.api.health import HealthRoutes
from goloagent.http.api.job_summaries import JobSummaries
from goloagent.http.api.jobs import JobRoutes
from goloagent.http.api.logs import LogRoutes
from goloagent.http.api.metrics import MetricsRoutes
from goloagent.http.api.queue import QueueRoutes
from goloagent.http.api.report import ReportRoutes
from goloagent.http.api.router import build_api
from goloagent.http.api.statistics import StatisticsRoutes
from goloagent.http.api.steering import SteeringRoutes
from goloagent.http.api.timeline import TimelineRoutes
from goloagent.http.server.limits import Limits
from goloagent.http.server.site import build_site
from goloagent.http.streaming.events import EventRoutes
from goloagent.http.ui.assets import PageRoutes
from goloagent.http.ui.logout import LogoutRoutes
from goloagent.wiring.components import Components
from goloagent.wiring.metrics import delivery_of


def make_site(parts: Components) -> Site:
    """Return the factory of HTTP connections."""
    control = parts.control
    delivery = partial(delivery_of, parts)
    summaries = JobSummaries(parts.scheduler.statistics_of, parts.summaries.get, parts.reactor)
    application = build_api(
        BinaryRoutes(parts.artifacts, parts.syncer),
        QueueRoutes(
            store=parts.store,
            jobs=parts.jobs,
            committer=parts.syncer,
            submit=parts.scheduler.start_next,
            cancel=control.cancel,
            now=now,
            health=parts.health.before_write,
            outputs=parts.settings.output_names,
        ),
        JobRoutes(
            store=parts.store,
            committer=parts.syncer,
            cancel=control.cancel,
            delivery=delivery,
            abandon=control.abandon,
            health=parts.health.before_write,
        ),
        SteeringRoutes(parts.store, control.change, delivery),
        LogRoutes(parts.store, parts.run_files.open, parts.reactor),
        EventRoutes(parts.store, parts.events, parts.reactor),
        StatisticsRoutes(parts.store, summaries, parts.reactor),
        TimelineRoutes(parts.store, parts.run_files.open_timeline, parts.reactor),
        ReportRoutes(
            parts.store,
            summaries,
            parts.run_files.open_timeline,
            delivery,
            parts.threads.bulk.run,
        ),
        AgentRoutes(read_identity(parts.settings.state), now),
        HealthRoutes(parts.health.current),
        MetricsRoutes(parts.exporter.expose),
        PageRoutes(),
        LogoutRoutes(parts.access.token is not None),
        token=parts.access.token is not None,
    )
    settings = parts.settings
    return build_site(
        application,
        parts.access,
        parts.artifacts,
        settings.max_upload_bytes,
        parts.reactor,
        parts.threads.bulk.run,
        parts.exporter.count_upload_bytes,
        Limits(
            settings.max_connections,
            settings.max_connections_per_peer,
            reserve_of(getrlimit(RLIMIT_NOFILE)[0], settings.max_connections),
        ),
        parts.exporter.count_refusal,
        parts.upload_space,
    )
