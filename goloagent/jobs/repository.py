"""Saves jobs and publishes their changes: the only writer of jobs to the database.

First persist, then publish. What cannot be saved now is remembered and saved later, and so is the
account beside a log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import attrs

from goloagent.jobs.database import Store
from goloagent.jobs.job import Job


@attrs.define
class JobRepository:
    """Jobs in `store`.

    Args:
        subscribers: each is notified of every job that has changed.
        write_account: writes a job's account beside its log. Raises OSError, and FileNotFoundError
            if there is no log.
        warn: reports a sentence, once until it is mended.
    """

    store: Store
    subscribers: Sequence[Callable[[Job], None]]
    write_manifest: Callable[[Job], None]
    warn: Callable[[str], None]
    _unsaved: dict[str, Job] = attrs.field(init=False, factory=dict)
    _without_account: dict[str, Job] = attrs.field(init=False, factory=dict)

    def add(self, job: Job) -> None:
        """Put a new job at the end of the queue.

        Raises:
            OSError: it cannot be saved; nothing is published.
        """
        self.store.add(job)
        self.publish(job)

    def save(self, job: Job) -> None:
        """Save a job as it stands now, or else with the next `save_again`.

        Published in any case, because it has happened.

        Raises:
            OSError: it is not saved yet.
        """
        try:
            self._persist(job)
        except OSError as error:
            if not self._unsaved:
                self.warn(f"jobs cannot be saved, and are saved later: {error}")
            self._unsaved[job.id] = job
            raise
        finally:
            self.publish(job)

    def save_soon(self, job: Job) -> None:
        """Save a job now or with the next `save_again`: whichever the disk allows."""
        with suppress(OSError):
            self.save(job)

    def change(self, job: Job) -> None:
        """Save a change that has not happened unless it is saved.

        Raises:
            OSError: it cannot be saved; nothing is published or remembered.
        """
        self._persist(job)
        self.publish(job)

    def save_again(self) -> None:
        """Save what could not be saved, and write the accounts that could not be written."""
        try:
            for job in list(self._unsaved.values()):
                self._persist(job)
        except OSError:
            return
        for job in list(self._without_account.values()):
            self._write_manifest(job)

    def publish(self, job: Job) -> None:
        """Notify the subscribers that a job has changed."""
        for notify in self.subscribers:
            notify(job)

    def _persist(self, job: Job) -> None:
        self.store.save(job)
        self._unsaved.pop(job.id, None)
        if job.fully_delivered and job.has_log:
            self._write_manifest(job)

    def _write_manifest(self, job: Job) -> None:
        try:
            self.write_manifest(job)
        except FileNotFoundError as error:
            self._without_account.pop(job.id, None)
            self.warn(f"the account of job {job.id} is not written: {error}")
        except OSError as error:
            if job.id not in self._without_account:
                self.warn(f"the account of job {job.id} is written later: {error}")
            self._without_account[job.id] = job
        else:
            self._without_account.pop(job.id, None)
