"""The files of each run, addressed by its job."""

from __future__ import annotations

import errno
from pathlib import Path

import attrs

from goloagent.core.stats.summary import Summary
from goloagent.jobs.job import Job, ResultCounts
from goloagent.wal import sidecar
from goloagent.wal.run_directory import OUT, LogPathError, size_of_file
from goloagent.wal.run_log import (
    RunLogReader,
    RunLogSync,
    open_reader,
    open_sync,
    read_stderr_tail,
)
from goloagent.wal.stats_file import write_statistics


@attrs.frozen
class RunFiles:
    """The runs below `root`. Methods raise the errors of `run_directory`."""

    root: Path

    def open(self, job: Job, file: str = OUT) -> RunLogReader:
        """Open a log of a run for reading."""
        return open_reader(self.root, job.spec.name, job.id, file)

    def open_sync(self, job: Job) -> RunLogSync:
        """Open the log of a new run for syncing."""
        return open_sync(self.root, job.spec.name, job.id)

    def size(self, job: Job) -> int:
        """Return the number of bytes of a run's stdout.

        Raises:
            FileNotFoundError: there is no log, or its path is no file.
        """
        try:
            return size_of_file(self.root, job.spec.name, job.id)
        except LogPathError as error:
            raise FileNotFoundError(errno.ENOENT, str(error)) from error

    def stderr_tail(self, job: Job) -> str:
        """Return the last lines of a run's stderr."""
        return read_stderr_tail(self.root, job.spec.name, job.id)

    def write_statistics(self, job: Job, summary: Summary) -> None:
        """Write the statistics of a run."""
        write_statistics(self.root, job.spec.name, job.id, summary)

    def write_manifest(self, job: Job) -> None:
        """Write the counts of a run, in case the database is lost.

        Raises:
            FileNotFoundError: there is no log, or its path is no file.
        """
        try:
            sidecar.write_manifest(self.root, job)
        except LogPathError as error:
            raise FileNotFoundError(errno.ENOENT, str(error)) from error

    def read_manifest(self, job: Job) -> ResultCounts | None:
        """Return the counts in the manifest of a run, or None if it is missing or damaged."""
        return sidecar.read_manifest(self.root, job.spec.name, job.id)

    def open_rejected(self, job: Job) -> int:
        """Open the file of rejected results for reading and appending.

        Raises:
            OSError: it cannot be opened, or its path is no file.
        """
        try:
            return sidecar.open_to_append(self.root, job.spec.name, job.id, sidecar.REJECTED)
        except LogPathError as error:
            raise OSError(errno.ENOENT, str(error)) from error
