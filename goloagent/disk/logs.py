"""The files of each run, by its job: what is read, kept and noted below the logs directory."""

from __future__ import annotations

import errno
from functools import partial
from pathlib import Path

import attrs

from goloagent.delivery.runs import RunOfResults
from goloagent.disk import remains
from goloagent.jobs.job import Job, Results
from goloagent.results.runlog import (
    OUT,
    REJECTED,
    LogPathError,
    LogReader,
    LogSync,
    open_reader,
    open_sync,
    open_to_append,
    read_stderr_tail,
    size_of_file,
    write_account,
)
from goloagent.statistics.file import write_statistics
from goloagent.statistics.summary import Summary


@attrs.frozen
class Logs:
    """The runs below `root`.

    Every method raises OSError when the disk does not do it, and LogPathError when a link or
    anything else stands where a file of the run belongs.
    """

    root: Path

    def open(self, job: Job, file: str = OUT) -> LogReader:
        """Open one of a run's logs for reading."""
        return open_reader(self.root, job.spec.name, job.id, file)

    def open_sync(self, job: Job) -> LogSync:
        """Open what syncs the log of a run that was just made."""
        return open_sync(self.root, job.spec.name, job.id)

    def deliver(self, job: Job) -> RunOfResults:
        """Open a run's results for delivery."""
        return RunOfResults(self.open(job), partial(self._open_rejected, job))

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

    def keep_statistics(self, job: Job, summary: Summary) -> None:
        """Keep what a run's results came to beside them."""
        write_statistics(self.root, job.spec.name, job.id, summary)

    def keep_account(self, job: Job) -> None:
        """Keep a job's account beside its log, for a time without a database.

        Raises:
            FileNotFoundError: there is no log, or something else stands in its place.
        """
        try:
            write_account(self.root, job.spec.name, job.id, remains.account(job))
        except LogPathError as error:
            raise FileNotFoundError(errno.ENOENT, str(error)) from error

    def account(self, job: Job) -> Results | None:
        """Return the account that `keep_account` kept, or None where there is no whole one."""
        return remains.account_of(self.root, job.spec.name, job.id)

    def _open_rejected(self, job: Job) -> int:
        try:
            return open_to_append(self.root, job.spec.name, job.id, REJECTED)
        except LogPathError as error:
            raise OSError(errno.ENOENT, str(error)) from error
