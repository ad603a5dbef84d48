"""The files of each run, addressed by its job."""

from __future__ import annotations

import errno
from pathlib import Path

import attrs

from goloagent.core.stats.run_stats import RunStatistics
from goloagent.jobs.job import Job
from goloagent.wal import sidecar
from goloagent.wal.run_directory import OUT, LogPathError, open_file, size_of_file
from goloagent.wal.run_log import (
    RunLogReader,
    RunLogSync,
    open_reader,
    open_sync,
    read_stderr_tail,
)
from goloagent.wal.stats_file import write_statistics
from goloagent.wal.stored_calls import restore_calls
from goloagent.wal.timeline_follower import TimelineFollower
from goloagent.wal.timeline_reader import TIMELINE, TimelineReader
from goloagent.wal.timeline_thinning import discard
from goloagent.wal.timeline_totals import TimelineTotals, add_up


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

    def write_statistics(self, job: Job, statistics: RunStatistics) -> None:
        """Write the statistics of a run that were counted in its log, and those of its calls."""
        restore_calls(statistics, self.root, job)
        write_statistics(self.root, job.spec.name, job.id, statistics.summary(encoded=True))

    def write_manifest(self, job: Job) -> None:
        """Write the counts of a run, in case the database is lost.

        Raises:
            FileNotFoundError: there is no log, or its path is no file.
        """
        try:
            sidecar.write_manifest(self.root, job)
        except LogPathError as error:
            raise FileNotFoundError(errno.ENOENT, str(error)) from error

    def read_manifest(self, job: Job) -> sidecar.Manifest | None:
        """Return the manifest of a run, or None if it is missing or damaged."""
        return sidecar.read_manifest(self.root, job.spec.name, job.id)

    def open_timeline(self, job: Job) -> TimelineReader:
        """Open the timeline of a run for reading.

        Raises:
            FileNotFoundError: it has none, or its path is no file.
        """
        try:
            return TimelineReader(open_file(self.root, job.spec.name, job.id, TIMELINE))
        except LogPathError as error:
            raise FileNotFoundError(errno.ENOENT, str(error)) from error

    def follow_timeline(self, job: Job) -> TimelineFollower:
        """Return what reads the timeline of a run while it grows; it opens the file later."""
        return TimelineFollower(
            lambda: open_file(self.root, job.spec.name, job.id, TIMELINE),
        )

    def timeline_totals(self, job: Job) -> TimelineTotals | None:
        """Return the totals of an interrupted run's timeline; None if it has none to be read.

        Remove what its thinning has left.
        """
        discard((self.root, job.spec.name, job.id))
        try:
            reader = self.open_timeline(job)
        except OSError:
            return None
        try:
            return add_up(reader)
        except OSError:
            return None
        finally:
            reader.close()

    def open_rejected(self, job: Job, file: str = sidecar.REJECTED) -> int:
        """Open a file of rejected results for reading and appending.

        Raises:
            OSError: it cannot be opened, or its path is no file.
        """
        try:
            return sidecar.open_to_append(self.root, job.spec.name, job.id, file)
        except LogPathError as error:
            raise OSError(errno.ENOENT, str(error)) from error
