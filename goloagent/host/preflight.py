"""Preflight: acquires the directories, locks and database of the agent before it starts."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import attrs
from twisted.logger import Logger

from goloagent.host import directories
from goloagent.host.database import open_database
from goloagent.host.descriptors import raise_limit
from goloagent.host.startup_error import unusable
from goloagent.jobs.database import Store
from goloagent.sdk import archive
from goloagent.settings import Settings
from goloagent.wal.leftovers import set_aside
from goloagent.wal.rebuild import RunScanner

_DATABASE = "golo-agent.sqlite"
_RESTORING = "restoring"
# The names that the agent uses in its state directory.
_OWN = frozenset(
    {
        "binaries",
        "contents",
        "incoming",
        "lock",
        "queue",
        "work",
        _DATABASE,
        _RESTORING,
        archive.NAME,
    }
)

_log = Logger()


@attrs.frozen
class ProcessResources:
    """The locks of the directories and the open database, held while the agent runs.

    Args:
        work: the directory below which load tests run.
        scanner: finds the binaries, runs and queued jobs on the disk.
        leftovers: files of earlier runs, to be removed.
        damage: the defect of the database, until it is `restored`.
    """

    work: Path
    scanner: RunScanner
    leftovers: list[Path]
    store: Store
    damage: str | None
    _restoring: Path
    _locks: list[int]

    def restored(self) -> None:
        """Note that the rows of the database are restored."""
        try:
            self._restoring.unlink(missing_ok=True)
        except OSError as error:
            _log.warn("{path} cannot be removed: {error}", path=self._restoring, error=error)

    def release(self) -> None:
        """Release everything."""
        self.store.close()
        while self._locks:
            os.close(self._locks.pop())


def acquire(settings: Settings, now: Callable[[], datetime]) -> ProcessResources:
    """Create, lock and open everything that `settings` name.

    Raises:
        StartupError: something is unusable, or another agent uses it; the message names the option.
    """
    raise_limit(settings.max_connections)
    state, logs = settings.state, settings.logs
    work, queue = state / "work", state / "queue"
    locks = [directories.lock_state(state)]
    try:
        directories.check_apart(state, logs, _OWN)
        directories.make_writable("--state", work, 0o711)
        directories.make_writable("--state", queue, 0o700)
        directories.make_writable("--logs", logs, 0o750)
        locks.append(directories.lock_logs(logs))
        if settings.run_as is not None:
            directories.check_access(work, settings.run_as)
        try:
            leftovers = set_aside(work)
        except OSError as error:
            raise unusable("--state", work, error) from None
        scanner = RunScanner(state / "binaries", logs, queue)
        restoring = state / _RESTORING
        store, damage = open_database(state / _DATABASE, restoring, scanner.any_left, now)
    except BaseException:
        for lock in locks:
            os.close(lock)
        raise
    return ProcessResources(work, scanner, leftovers, store, damage, restoring, locks)


def own_user() -> str:
    """Return the name of the agent's user, or its number if it has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
