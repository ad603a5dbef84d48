"""Removal of the files that earlier runs left in the work directory.

They may be many, so the start only renames them, and a worker thread removes them later.
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
    """Rename the directories of earlier runs in `work`; return those to remove.

    Other entries are not the agent's, and stay.

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
                _log.warn("the directory of an earlier run cannot be renamed: {error}", error=error)
            else:
                found.append(aside)
        elif path.name.endswith(_SET_ASIDE) and is_id(path.name.removesuffix(_SET_ASIDE)):
            found.append(path)
    return found


@attrs.define
class Remover:
    """Removes trees one by one in a worker thread, until `stop`."""

    in_thread: Callable[..., Awaitable[Any]]
    _stopped: bool = attrs.field(init=False, default=False)

    def stopped(self) -> bool:
        """Return whether removals must end. Thread-safe."""
        return self._stopped

    def stop(self) -> None:
        """End the removal after its present step; the next start removes the rest."""
        self._stopped = True

    async def remove(self, paths: Iterable[Path]) -> None:
        """Remove `paths`; log errors."""
        for path in paths:
            if self._stopped:
                return
            try:
                await self.in_thread(remove, path, self.stopped)
            except OSError as error:
                _log.warn("the directory of an earlier run cannot be removed: {error}", error=error)
            except Exception:
                _log.failure("removing {path} failed", path=str(path))
