"""What earlier runs left below the work directory: found at the start, removed after it.

A load test may leave any number of files and directories, so removing them must not delay the
start. They are renamed at the start and removed in a thread while the agent works.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
from twisted.logger import Logger

from goloagent.filesystem.removal import remove
from goloagent.jobs.ids import is_id

_SET_ASIDE = ".removed"

_log = Logger()


def set_aside(work: Path) -> list[Path]:
    """Rename the directories that earlier runs left in `work`; return all that is to be removed.

    What is not named as a run's directory is not the agent's, and stays.

    Raises:
        OSError: `work` cannot be read.
    """
    found = []
    for path in work.iterdir():
        if is_id(path.name):
            aside = work / f"{uuid4()}{_SET_ASIDE}"
            try:
                path.rename(aside)
            except OSError as error:
                _log.warn("what a run left cannot be renamed: {error}", error=error)
            else:
                found.append(aside)
        elif path.name.endswith(_SET_ASIDE) and is_id(path.name.removesuffix(_SET_ASIDE)):
            found.append(path)
    return found


@attrs.define
class Remover:
    """Removes trees one after the other by `in_thread`, until `stop`."""

    in_thread: Callable[..., Awaitable[Any]]
    _stopped: bool = attrs.field(init=False, default=False)

    def stopped(self) -> bool:
        """Tell whether removals must end. May be called from any thread."""
        return self._stopped

    def stop(self) -> None:
        """Have removals end after their present step; the next start removes the rest."""
        self._stopped = True

    async def remove(self, paths: Iterable[Path]) -> None:
        """Remove all of `paths`; what cannot be removed is logged and stays."""
        for path in paths:
            if self._stopped:
                return
            try:
                await self.in_thread(remove, path, self.stopped)
            except OSError as error:
                _log.warn("what a run left cannot all be removed: {error}", error=error)
            except Exception:
                _log.failure("removing {path} failed", path=str(path))
