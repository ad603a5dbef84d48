"""The files that a lost or old database does not list: artifacts, runs, queued jobs.

The scan reads and changes nothing. It skips files that the agent has not made, or that cannot be
read, so that no file prevents a start.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import attrs

from goloagent.artifacts.files import content_of, is_binary
from goloagent.core.job_spec import NAME_PATTERN, JobSpec
from goloagent.jobs import queue_files
from goloagent.jobs.database import Binary
from goloagent.jobs.ids import is_id
from goloagent.jobs.job import FailureReason, Job, State
from goloagent.wal.run_directory import OUT
from goloagent.wal.sidecar import Manifest, read_manifest

DATABASE_LOST = FailureReason(
    "state-lost", "The job database had lost this run; it was found among the logs."
)
_NAME = re.compile(NAME_PATTERN)


@attrs.frozen
class RunScanner:
    """The artifacts in `artifacts`, the runs below `logs`, and the jobs in `queue`.

    Call the methods in a worker thread, because they may read the whole disk.
    """

    artifacts: Path
    logs: Path
    queue: Path

    def any_left(self) -> bool:
        """Return whether there is an artifact, a run or a queued job."""
        return (
            next(_named_by_ids(self.artifacts), None) is not None
            or any(self._last_printed(*run) is not None for run in _runs(self.logs))
            or bool(queue_files.ids(self.queue))
        )

    def binaries(self, known: set[str]) -> tuple[list[Binary], list[str]]:
        """Return the artifacts that are not `known`, oldest first, and errors of unreadable ones.

        Artifacts of version 0.1.0 are read whole, once for each content.
        """
        sha256s: dict[int, str] = {}
        found, errors = [], []
        for path in _named_by_ids(self.artifacts):
            if path.name in known:
                continue
            try:
                if not is_binary(path):
                    continue
                status = path.stat()
                if status.st_ino not in sha256s:
                    sha256s[status.st_ino] = content_of(path)
                sha256 = sha256s[status.st_ino]
                found.append(Binary(path.name, sha256, status.st_size, _time(path.lstat())))
            except OSError as error:
                errors.append(f"the file {path.name} of a binary cannot be read: {error.strerror}")
        return sorted(found, key=lambda binary: binary.uploaded_at), errors

    def runs(self, known: set[str]) -> list[Job]:
        """Return the runs with a log that are not `known`, by the time of their last output.

        Without a manifest the counts are zero, because the delivered part is not known.
        """
        found = []
        for name, job_id in _runs(self.logs):
            if job_id not in known and (time := self._last_printed(name, job_id)) is not None:
                manifest = read_manifest(self.logs, name, job_id) or Manifest()
                found.append(_run(name, job_id, time, manifest))
        return sorted(found, key=lambda job: job.queued_at)

    def has_run(self, job: Job) -> bool:
        """Return whether a job has a log."""
        return self._last_printed(job.spec.name, job.id) is not None

    def manifest_of(self, job: Job) -> Manifest | None:
        """Return the manifest of a job, or None if it is missing or damaged."""
        return read_manifest(self.logs, job.spec.name, job.id)

    def _last_printed(self, name: str, job_id: str) -> datetime | None:
        """Return the time of the last output of a run, or None if it has no log.

        An empty log of a job that is still queued does not count, because it is of a failed attempt
        to start the job.
        """
        try:
            status = (self.logs / name / job_id / OUT).lstat()
            is_attempt = not status.st_size and queue_files.file_of(self.queue, job_id).exists()
        except OSError:
            return None
        return _time(status) if stat.S_ISREG(status.st_mode) and not is_attempt else None


def _run(name: str, job_id: str, time: datetime, manifest: Manifest) -> Job:
    job = Job(
        id=job_id,
        spec=JobSpec(name, 0, 0, ""),
        queued_at=time,
        state=State.INTERRUPTED,
        cause=DATABASE_LOST,
        ended_at=time,
        has_log=True,
    )
    job.restore_results(manifest.results, manifest.outputs)
    return job


def _runs(logs: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the id of each run directory below `logs`."""
    for name in _entries(logs):
        if _NAME.fullmatch(name.name) and _is_directory(name):
            for run in _entries(name):
                if is_id(run.name) and _is_directory(run):
                    yield name.name, run.name


def _named_by_ids(directory: Path) -> Iterator[Path]:
    for entry in _entries(directory):
        if is_id(entry.name):
            yield Path(entry.path)


def _entries(directory: Path | os.DirEntry[str]) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a directory; none when it cannot be read."""
    try:
        with os.scandir(directory) as entries:
            yield from entries
    except OSError:
        return


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _time(status: os.stat_result) -> datetime:
    try:
        return datetime.fromtimestamp(status.st_mtime, timezone.utc)
    except (OverflowError, ValueError, OSError):  # a file may have any time
        return datetime.fromtimestamp(0, timezone.utc)
