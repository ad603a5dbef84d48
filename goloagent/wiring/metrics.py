"""The exporter of metrics, and the states that it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from goloagent.concurrency.clock import now
from goloagent.core.output_schemes import COLLECTOR
from goloagent.jobs.job import Job
from goloagent.metrics.exporter import Gauges, PrometheusExporter
from goloagent.metrics.output_metrics import OutputStates
from goloagent.outputs.status import NONE, OK, JobDelivery

if TYPE_CHECKING:
    from goloagent.wiring.components import Components


def make_exporter(parts: Components) -> PrometheusExporter:
    """Return the exporter; it reads the components when it is used."""
    settings = parts.settings
    directories = {"logs": settings.logs, "state": settings.state}.items()
    present = Gauges(
        ready=lambda: parts.health.current().ready,
        jobs=parts.store.count,
        delivery=lambda: parts.delivery.states().get(COLLECTOR, OK),
        log_bytes=parts.run_files.size,
        free_bytes=lambda: {
            name: parts.disk_space.free_bytes(directory) for name, directory in directories
        },
        outputs=OutputStates(
            backends=lambda: {
                name: status.state for name, status in parts.delivery.health().items()
            },
            deliveries=lambda: parts.delivery.states(),
        ),
    )
    return PrometheusExporter(parts.reactor, now, present, settings.output_names)


def delivery_of(parts: Components, job: Job) -> JobDelivery:
    """Return the state of a job's delivery, with the lag of each output."""
    outputs = {
        name: attrs.evolve(status, lag_seconds=parts.exporter.counters.job_lag(job.id, name))
        for name, status in parts.delivery.status(job).items()
        if status.state != NONE
    }
    return JobDelivery(parts.delivery.collector_status(job), outputs)
