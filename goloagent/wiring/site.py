"""The HTTP server with all its routes."""

from __future__ import annotations

from resource import RLIMIT_NOFILE, getrlimit

from twisted.web.server import Site

from goloagent.concurrency.clock import now
from goloagent.core.descriptor_budget import reserve_of
from goloagent.http.api.binaries import BinaryRoutes
from goloagent.http.api.health import HealthRoutes
from goloagent.http.api.jobs import JobRoutes
from goloagent.http.api.logs import LogRoutes
from goloagent.http.api.metrics import MetricsRoutes
from goloagent.http.api.router import build_api
from goloagent.http.api.statistics import StatisticsRoutes
from goloagent.http.server.limits import Limits
from goloagent.http.server.site import build_site
from goloagent.http.streaming.events import EventRoutes
from goloagent.http.ui.assets import PageRoutes
from goloagent.runs.control import JobControl
from goloagent.wiring.components import Components


def make_site(parts: Components) -> Site:
    """Return the factory of HTTP connections."""
    control = JobControl(parts.scheduler, parts.jobs, parts.delivery)
    application = build_api(
        BinaryRoutes(parts.artifacts, parts.syncer),
        JobRoutes(
            store=parts.store,
            jobs=parts.jobs,
            committer=parts.syncer,
            submit=parts.scheduler.start_next,
            cancel=control.cancel,
            delivery=parts.delivery.status,
            abandon=control.abandon,
            now=now,
            health=parts.health.before_write,
        ),
        LogRoutes(parts.store, parts.run_files.open, parts.reactor),
        EventRoutes(parts.store, parts.events, parts.reactor),
        StatisticsRoutes(
            parts.store,
            parts.scheduler.statistics_of,
            parts.summaries.get,
            parts.reactor,
        ),
        HealthRoutes(parts.health.current),
        MetricsRoutes(parts.exporter.expose),
        PageRoutes(),
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
