"""The files of each run, by its job: what is read, kept and noted below the logs directory."""

from __future__ import annotations

import errno
from pathlib import Path

import attrs

from goloagent.core.stats.summary import Summary
from goloagent.jobs.job import Job, ResultCounts
from goloagent.wal import rebuild
from goloagent.wal.run_log import (
    OUT,
    REJECTED,
    LogPathError,
    RunLogReader,
    RunLogSync,
    open_reader,
    open_sync,
    open_to_append,
    read_stderr_tail,
    size_of_file,
    write_manifest,
)
from goloagent.wal.stats_file import write_statistics


@attrs.frozen
class RunFiles:
    """The runs below `root`.

    Every method raises OSError when the disk does not do it, and LogPathError when a link or
    anything else stands where a file of the run belongs.
    """

    root: Path

    def open(self, job: Job, file: str = OUT) -> RunLogReader:
        """Open one of a run's logs for reading."""
        return open_reader(self.root, job.spec.name, job.id, file)

    def open_sync(self, job: Job) -> RunLogSync:
        """Open what syncs the log of a run that was just made."""
        return open_sync(self.root, job.spec.name, job.id)

    def size(self, job: Job) -> int:
        """Return how many bytes a run's stdout has.

        Raises:
            FileNotFoundError: there is no log, or something else stands in its place.
        """
        try:
            return size_of_file(self.root, job.spec.name, job.id)
        except LogPathError as error:
            raise FileNotFoundError(errno.ENOENT, str(error)) from error

    def stderr_tail(self, job: Job) -> str:
        """Return the last lines of a run's stderr."""
        return read_stderr_tail(self.root, job.spec.name, job.id)

    def write_statistics(self, job: Job, summary: Summary) -> None:
        """Keep what a run's results came to beside them."""
        write_statistics(self.root, job.spec.name, job.id, summary)

    def write_manifest(self, job: Job) -> None:
        """Keep a job's account beside its log, for a time without a database.

        Raises:
            FileNotFoundError: there is no log, or something else stands in its place.
        """
        try:
            write_manifest(self.root, job.spec.name, job.id, rebuild.manifest(job))
        except LogPathError as error:
            raise FileNotFoundError(errno.ENOENT, str(error)) from error

    def read_manifest(self, job: Job) -> ResultCounts | None:
        """Return the account that `write_manifest` wrote, or None where there is no whole one."""
        return rebuild.read_manifest(self.root, job.spec.name, job.id)

    def open_rejected(self, job: Job) -> int:
        """Open the file of what an output refused for reading and appending."""
        try:
            return open_to_append(self.root, job.spec.name, job.id, REJECTED)
        except LogPathError as error:
            raise OSError(errno.ENOENT, str(error)) from error
