"""The timeline of a run in a file next to its log, which is written while it runs.

It is never synced: a kill of the agent loses at most the second that is being measured, a loss of
power more. An error, such as of a full disk, never ends a run.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from goloagent.core.timeline import MAX_WINDOWS, VERSION, Line, Window, encode_line
from goloagent.wal.run_directory import LogPathError, open_file, replace_file
from goloagent.wal.timeline_reader import TIMELINE
from goloagent.wal.timeline_thinning import TEMPORARY, Thinned, discard, thin_file

MAX_CHANGES = 1_000

# Replaced in a test.
_pwrite = os.pwrite

_CREATE = os.O_RDWR | os.O_CREAT | os.O_TRUNC


class TimelineFile:
    """The timeline of one run; its methods log errors and never raise them.

    Beyond `max_windows` windows those of the beginning are merged in a thread, to 2 seconds each,
    later to 4, 8, …: a run of any length has a bounded timeline, whose newest windows are of one
    second each.

    Args:
        run: the directory of all logs, and the name and the id of the job.
        start: of the load.
        in_thread: runs a function off the reactor thread.
    """

    _log = Logger()

    def __init__(
        self,
        run: tuple[Path, str, str],
        start: datetime,
        in_thread: Callable[..., Deferred[Any]],
        max_windows: int = MAX_WINDOWS,
    ) -> None:
        self._run = run
        self._in_thread = in_thread
        self._max_windows = max_windows
        self._thin_at = max_windows
        self._thin_seconds = 2.0
        self._is_thinning = self._closed = False
        self._descriptor = -1
        self._windows = self._changes = self._size = 0
        self._unreported = ""
        self.lost = 0
        self._header = encode_line(Line(version=VERSION, start=start))
        self._append(b"")

    def append(self, window: Window) -> None:
        """Append the window of the time that has passed since the last."""
        if self._windows >= 2 * self._max_windows:
            self._lose("it is too long and cannot be thinned")
        elif self._append(encode_line(Line(window=window))):
            self._windows += 1
            if self._windows > self._thin_at and not self._is_thinning:
                self._thin()

    def note(self, change: dict[str, Any]) -> None:
        """Append a change of the load; those beyond `MAX_CHANGES` are dropped."""
        self._changes += 1
        if self._changes <= MAX_CHANGES:
            self._append(encode_line(Line(change=change)))
        elif self._changes == MAX_CHANGES + 1:
            self._append(encode_line(Line(missing=f"Only {MAX_CHANGES} changes are kept.")))

    def close(self) -> None:
        """End the timeline; a second time does nothing."""
        if self._closed:
            return
        self._append(encode_line(Line(closed=True)))
        self._closed = True
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _append(self, data: bytes) -> bool:
        """Write lines at the end of the file; return whether all of it was written."""
        if self._closed:
            return False
        try:
            if self._descriptor < 0:
                self._descriptor = open_file(*self._run, TIMELINE, _CREATE)
                self._write(self._header)
            if self._unreported:
                data = encode_line(Line(missing=self._unreported)) + data
            self._write(data)
        except (OSError, LogPathError) as error:
            self._lose(str(error))
            return False
        self._unreported = ""
        return True

    def _write(self, data: bytes) -> None:
        """Write all of the data, or nothing."""
        rest, size = memoryview(data), self._size
        try:
            while rest:
                written = _pwrite(self._descriptor, rest, size)
                rest, size = rest[written:], size + written
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size = size

    def _lose(self, why: str) -> None:
        self.lost += 1
        self._unreported = f"{self.lost} seconds or changes could not be written: {why}."
        if self.lost == 1:
            self._log.warn(
                "the timeline of job {job} cannot be written: {why}", job=self._run[-1], why=why
            )

    def _thin(self) -> None:
        self._is_thinning = True
        thinning = self._in_thread(
            thin_file, self._run, self._size, self._thin_seconds, lambda: self._closed
        )
        thinning.addCallback(self._replace, self._windows)
        thinning.addErrback(self._not_thinned)

    def _replace(self, thinned: Thinned | None, windows: int) -> None:
        """Replace the file by one whose first `windows` are thinned, and the rest as it is."""
        self._is_thinning = False
        if thinned is None:
            return
        if self._closed:
            os.close(thinned.descriptor)
            discard(self._run)
            return
        old, old_size = self._descriptor, self._size
        self._descriptor, self._size = thinned.descriptor, thinned.size
        try:
            self._write(os.pread(old, old_size - thinned.until, thinned.until))
            replace_file(*self._run, TEMPORARY, TIMELINE)
        except BaseException:
            self._descriptor, self._size = old, old_size
            os.close(thinned.descriptor)
            raise
        os.close(old)
        self._windows += thinned.windows - windows
        self._thin_at = self._max_windows
        if self._windows > self._max_windows * 3 // 4:
            # So that there is room for a while.
            self._thin_seconds *= 2

    def _not_thinned(self, failure: Failure) -> None:
        self._log.warn(
            "the timeline of job {job} cannot be thinned, which is tried again later: {error}",
            job=self._run[-1],
            error=failure.getErrorMessage(),
        )
        self._is_thinning = False
        self._thin_at = self._windows + self._max_windows // 4
