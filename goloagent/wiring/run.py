"""The dependencies of every run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from goloagent.concurrency.clock import now
from goloagent.load.connector import connect
from goloagent.runs.dependencies import RunDependencies
from goloagent.runs.preparation import RunPreparer
from goloagent.runs.timeouts import Timeouts
from goloagent.wal.timeline_file import TimelineFile

if TYPE_CHECKING:
    from goloagent.wiring.components import Components


def make_run_dependencies(parts: Components, work: Path) -> RunDependencies:
    """Return the dependencies of runs, whose programs are in directories below `work`."""
    settings = parts.settings
    preparer = RunPreparer(
        work=work,
        logs=settings.logs,
        artifacts=parts.artifacts,
        user=settings.run_as,
        fault=parts.health.check,
        in_thread=parts.threads.critical.run,
        track=lambda job, log: parts.syncer.track(log, parts.run_files.open_sync(job)),
        notice=parts.state.add_notice,
        stopped=parts.remover.stopped,
        room=lambda: parts.disk_space.upload_room(work),
    )
    return RunDependencies(
        clock=parts.reactor,
        now=now,
        prepare=preparer.prepare,
        spawn=parts.processes.spawn,
        connect=lambda client: connect(parts.reactor, parts.rpc, client),
        is_foreign_listener=parts.processes.is_foreign_listener,
        save=parts.jobs.save,
        commit=lambda job: parts.syncer.save(partial(parts.jobs.change, job)),
        delivery=parts.delivery,
        check_space=parts.disk_space.check_run,
        keep_statistics=parts.summaries.put,
        open_timeline=lambda job, start: TimelineFile(
            (settings.logs, job.spec.name, job.id), start, parts.threads.bulk.run
        ),
        watchers=parts.events,
        observe_second=lambda job, second: parts.exporter.load.add(
            job.spec.profile.model,
            second.window,
            second.results.durations,
            second.calls.iteration,
        ),
        in_thread=parts.threads.bulk.run,
        timeouts=Timeouts(
            start_seconds=settings.start_timeout_seconds,
            drain_seconds=settings.drain_timeout_seconds,
            output_seconds=settings.output_timeout_seconds,
            quiet_seconds=settings.quiet_period_seconds,
            grace_seconds=settings.grace_seconds,
        ),
    )
