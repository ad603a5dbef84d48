"""The repository of jobs: the only writer of jobs to the database, and the publisher of changes.

A change is saved first and published next. Failed writes, also of manifests, are repeated later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import attrs

from goloagent.jobs.database import Store
from goloagent.jobs.job import Job
from goloagent.jobs.verdict import with_delivery


@attrs.define
class JobRepository:
    """Jobs in `store`.

    Args:
        subscribers: each is notified of every changed job.
        write_manifest: writes the manifest of a job next to its log. Raises OSError;
            FileNotFoundError if there is no log.
        warn: reports a sentence.
    """

    store: Store
    subscribers: Sequence[Callable[[Job], None]]
    write_manifest: Callable[[Job], None]
    warn: Callable[[str], None]
    _unsaved: dict[str, Job] = attrs.field(init=False, factory=dict)
    _without_manifest: dict[str, Job] = attrs.field(init=False, factory=dict)

    def add(self, job: Job) -> None:
        """Add a new job at the end of the queue.

        Raises:
            OSError: it cannot be saved; nothing is published.
        """
        self.store.add(job)
        self.publish(job)

    def save(self, job: Job) -> None:
        """Save and publish a change that has happened; if saving fails, `save_again` repeats it.

        Raises:
            OSError: it is not saved yet.
        """
        try:
            self._persist(job)
        except OSError as error:
            if not self._unsaved:
                self.warn(f"jobs cannot be saved and will be saved later: {error}")
            self._unsaved[job.id] = job
            raise
        finally:
            self.publish(job)

    def save_soon(self, job: Job) -> None:
        """Save and publish a job now, or with `save_again` if that fails."""
        with suppress(OSError):
            self.save(job)

    def change(self, job: Job) -> None:
        """Save and publish a change that is void if it cannot be saved.

        Raises:
            OSError: it cannot be saved; nothing is published, and nothing repeated.
        """
        self._persist(job)
        self.publish(job)

    def save_again(self) -> None:
        """Repeat the writes that failed."""
        try:
            for job in list(self._unsaved.values()):
                self._persist(job)
        except OSError:
            return
        for job in list(self._without_manifest.values()):
            self._write_manifest(job)

    def publish(self, job: Job) -> None:
        """Notify the subscribers that a job has changed."""
        for notify in self.subscribers:
            notify(job)

    def _persist(self, job: Job) -> None:
        if job.state.over:
            job.verdict = with_delivery(job)
        self.store.save(job)
        self._unsaved.pop(job.id, None)
        if job.fully_delivered and job.has_log:
            self._write_manifest(job)

    def _write_manifest(self, job: Job) -> None:
        try:
            self.write_manifest(job)
        except FileNotFoundError as error:
            self._without_manifest.pop(job.id, None)
            self.warn(f"the manifest of job {job.id} is not written: {error}")
        except OSError as error:
            if job.id not in self._without_manifest:
                self.warn(f"the manifest of job {job.id} will be written later: {error}")
            self._without_manifest[job.id] = job
        else:
            self._without_manifest.pop(job.id, None)
