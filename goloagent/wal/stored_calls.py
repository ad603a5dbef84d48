"""Restores the calls of a run from its timeline, for statistics that are rebuilt from its log."""

from __future__ import annotations

from pathlib import Path

from goloagent.core.stats.error_groups import ErrorKey
from goloagent.core.stats.hdr import decode
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.jobs.job import Job
from goloagent.wal.run_directory import LogPathError, open_file
from goloagent.wal.timeline_reader import TIMELINE, TimelineReader


def restore_calls(statistics: RunStatistics, logs: Path, job: Job) -> None:
    """Add the failed calls of a job, and the times of its calls from its timeline.

    No file has the messages of failed calls that are not among the job's most frequent errors,
    service times, and schedule lags. A second of a run takes 0.2 ms, so call it in a thread.
    """
    statistics.failed_calls = job.calls.failed
    known = dict(statistics.errors.top())
    for error in job.errors:
        key = ErrorKey(error.message, error.method, error.url, error.status)
        if key == ErrorKey(error.message) and key not in known:
            statistics.errors.add([key] * error.count)
    try:
        reader = TimelineReader(open_file(logs, job.spec.name, job.id, TIMELINE))
    except (OSError, LogPathError):
        return
    try:
        for window in reader.windows():
            if window.iteration.histogram:
                histogram = decode(window.iteration.histogram)
                histogram.maximum = window.iteration.max  # exact, and in the same bucket
                statistics.calls.iteration.merge(histogram)
    except (OSError, ValueError):
        pass  # the times up to there
    finally:
        reader.close()
