"""A file for each queued job, ``queue/<job id>.json``, from which a lost database is rebuilt.

It is written when the job is queued, and removed when the run has its log, before the load test
starts.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Set
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import msgspec
from twisted.logger import Logger

from goloagent.core.job_spec import MAX_REQUEST_BYTES, NAME_PATTERN, JobSpec
from goloagent.jobs.ids import is_id
from goloagent.jobs.job import Job

_SUFFIX = ".json"
_MAX_BYTES = 2 * MAX_REQUEST_BYTES
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NAME = re.compile(NAME_PATTERN)


@attrs.frozen
class _Spec:
    name: str
    users: int
    duration_seconds: int
    binary: str
    members: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class _Queued:
    spec: _Spec
    queued_at: datetime


@attrs.define
class QueuedJobs:
    """The files in `directory`."""

    directory: Path
    _kept: set[str] = attrs.field(init=False)

    _log = Logger()

    @_kept.default
    def _find(self) -> set[str]:
        return {*ids(self.directory)}

    def observe(self, job: Job) -> None:
        """Write the file of a job that has not run yet; remove it when the job has a log.

        Errors are only logged, because the database has the job.
        """
        waits = not job.has_log and not job.state.over
        if waits is (job.id in self._kept):
            return
        try:
            if waits:
                self._write(job)
                self._kept.add(job.id)
            else:
                self._file(job.id).unlink(missing_ok=True)
                self._kept.discard(job.id)
        except OSError as error:
            self._log.warn(
                "cannot update the queue file of job {job}: {error}", job=job.id, error=error
            )

    @property
    def kept(self) -> Set[str]:
        """The ids of the jobs that have a file."""
        return self._kept

    def load(self, known: set[str]) -> list[Job]:
        """Return the jobs that are not `known` in order; invalid files are skipped."""
        jobs = [self._job(job_id) for job_id in self._kept - known]
        return sorted(filter(None, jobs), key=lambda job: job.queued_at)

    def _write(self, job: Job) -> None:
        spec = _Spec(*(getattr(job.spec, field.name) for field in attrs.fields(_Spec)))
        text = msgspec.json.encode(_Queued(spec, job.queued_at))
        part = self.directory / f".{job.id}"
        descriptor = os.open(part, _WRITE, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
            part.replace(self._file(job.id))
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def _file(self, job_id: str) -> Path:
        return file_of(self.directory, job_id)

    def _job(self, job_id: str) -> Job | None:
        try:
            descriptor = os.open(self._file(job_id), _READ)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    return None
                found = msgspec.json.decode(file.read(_MAX_BYTES), type=_Queued)
            spec = JobSpec(**attrs.asdict(found.spec, recurse=False))
        except (OSError, ValueError, RecursionError):
            return None
        if not _NAME.fullmatch(spec.name) or found.queued_at.tzinfo is None:
            return None
        return Job(id=job_id, spec=spec, queued_at=found.queued_at)


def file_of(directory: Path, job_id: str) -> Path:
    """Return the path of the file of a queued job."""
    return directory / f"{job_id}{_SUFFIX}"


def ids(directory: Path) -> list[str]:
    """Return the ids of the jobs that have a file in `directory`."""
    try:
        names = os.listdir(directory)  # noqa: PTH208
    except OSError:
        return []
    found = [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)]
    return [name for name in found if is_id(name)]
