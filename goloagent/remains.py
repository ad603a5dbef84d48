"""What the disk still knows when the database is lost: the binaries, and the runs by their logs.

Reads names, sizes and times, and the bytes of binaries; restores nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from uuid import UUID

from goloagent.jobs import outcome
from goloagent.jobs.binaries import sha256_of
from goloagent.jobs.job import Job, State
from goloagent.jobs.spec import JobSpec
from goloagent.jobs.store import Binary
from goloagent.results.runlog import DELIVERED, OUT


def binaries(kept: Path) -> list[Binary]:
    """Return the binaries in the directory `kept`. Reads all of them: call it in a thread."""
    return [
        Binary(path.name, sha256_of(path), path.stat().st_size, _changed(path))
        for path in _named_by_ids(kept)
        if path.is_file()
    ]


def runs(logs: Path) -> list[Job]:
    """Return the runs with a log below `logs`, those first that printed their last word first.

    What of their results was delivered is not known, but for `is_delivered`.
    """
    found = []
    for name in logs.iterdir():
        if name.is_symlink() or not name.is_dir():
            continue
        for run in _named_by_ids(name):
            out = run / OUT
            if run.is_dir() and out.is_file() and not out.is_symlink():
                found.append(_run(name.name, run.name, _changed(out)))
    return sorted(found, key=lambda job: job.queued_at)


def is_delivered(logs: Path, job: Job) -> bool:
    """Tell whether a run is marked as having nothing pending."""
    return (logs / job.spec.name / job.id / DELIVERED).exists()


def _run(name: str, job_id: str, time: datetime) -> Job:
    return Job(
        id=job_id,
        spec=JobSpec(name, 0, 0, ""),
        queued_at=time,
        state=State.INTERRUPTED,
        cause=outcome.STATE_LOST,
        ended_at=time,
        logged=True,
    )


def _named_by_ids(directory: Path) -> Iterator[Path]:
    for path in directory.iterdir():
        try:
            named_by_id = str(UUID(path.name)) == path.name
        except ValueError:
            continue
        if named_by_id and not path.is_symlink():
            yield path


def _changed(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
