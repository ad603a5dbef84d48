"""What the disk holds that a lost or old database does not know: binaries, runs, queued jobs.

Reads names, sizes and times, and the bytes of binaries; restores nothing itself. What is not named
and made as the agent does it is skipped, and what cannot be read as well: nothing that stands in a
directory prevents a start.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import attrs
import msgspec

from goloagent.artifacts.files import content_of, is_binary
from goloagent.jobs import queue_files
from goloagent.jobs.database import Binary
from goloagent.jobs.ids import is_id
from goloagent.jobs.job import FailureReason, Job, ResultCounts, State
from goloagent.jobs.spec import NAME_PATTERN, JobSpec
from goloagent.wal.run_log import ACCOUNT, OUT, LogPathError, open_reader

DATABASE_LOST = FailureReason(
    "state-lost", "The job database had lost this run; it was found among the logs."
)
_ACCOUNT_BYTES = 4096
_NAME = re.compile(NAME_PATTERN)


@attrs.frozen
class RunScanner:
    """The binaries in the directory `kept`, the runs below `logs`, and the jobs in `queue`.

    Every method reads the disk, some all of it: call them off the reactor thread.
    """

    kept: Path
    logs: Path
    queue: Path

    def any_left(self) -> bool:
        """Tell whether there is any of them."""
        return (
            next(_named_by_ids(self.kept), None) is not None
            or any(self._last_printed(*run) is not None for run in _runs(self.logs))
            or bool(queue_files.ids(self.queue))
        )

    def binaries(self, known: set[str]) -> tuple[list[Binary], list[str]]:
        """Return the binaries that are not `known`, the oldest first, and why others are not read.

        Reads those of version 0.1.0 whole, and what several share once.
        """
        sha256s: dict[int, str] = {}
        found, errors = [], []
        for path in _named_by_ids(self.kept):
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
        """Return the runs with a log that are not `known`.

        Those come first that printed their last word first. One without an account beside its log
        has none here either: what of it was delivered is lost.
        """
        found = []
        for name, job_id in _runs(self.logs):
            if job_id not in known and (time := self._last_printed(name, job_id)) is not None:
                results = read_manifest(self.logs, name, job_id) or ResultCounts()
                found.append(_run(name, job_id, time, results))
        return sorted(found, key=lambda job: job.queued_at)

    def has_run(self, job: Job) -> bool:
        """Tell whether a job has a log."""
        return self._last_printed(job.spec.name, job.id) is not None

    def account_of(self, job: Job) -> ResultCounts | None:
        """Return the account beside the log of a job; None where there is no whole one."""
        return read_manifest(self.logs, job.spec.name, job.id)

    def _last_printed(self, name: str, job_id: str) -> datetime | None:
        """Return when the stdout of a run was written last, or None where it has no log.

        An empty log beside the file of the queued job is none: it was made in an attempt to start
        the job, which removes that file before the load test is started.
        """
        try:
            status = (self.logs / name / job_id / OUT).lstat()
            is_attempt = not status.st_size and queue_files.file_of(self.queue, job_id).exists()
        except OSError:
            return None
        return _time(status) if stat.S_ISREG(status.st_mode) and not is_attempt else None


def manifest(job: Job) -> bytes:
    """Return what became of the results of `job`, to be kept beside its log."""
    return json.dumps(attrs.asdict(job.results)).encode()


def read_manifest(logs: Path, name: str, job_id: str) -> ResultCounts | None:
    """Return the account beside the log of a run; None where there is no whole one."""
    try:
        file = open_reader(logs, name, job_id, ACCOUNT)
        try:
            results = msgspec.json.decode(file.read(0, _ACCOUNT_BYTES), type=ResultCounts)
        finally:
            file.close()
    except (OSError, LogPathError, msgspec.DecodeError, RecursionError):
        return None
    is_whole = min(attrs.astuple(results)) >= 0 and results.pending == 0
    return results if is_whole else None


def _run(name: str, job_id: str, time: datetime, results: ResultCounts) -> Job:
    job = Job(
        id=job_id,
        spec=JobSpec(name, 0, 0, ""),
        queued_at=time,
        state=State.INTERRUPTED,
        cause=DATABASE_LOST,
        ended_at=time,
        has_log=True,
    )
    job.restore_results(results)
    return job


def _runs(logs: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the id of each run that has a directory below `logs`."""
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
