"""Follows the timeline of a run: reads its windows once each, while the file grows."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime

from goloagent.core.timeline import Window, decode_line
from goloagent.wal.timeline_reader import BLOCK_BYTES, MAX_LINE_BYTES


class TimelineFollower:
    """The timeline that `open_file` opens; after a thinning that is another file.

    Attributes:
        start: of the load; None before the first line was read.
        is_lossy: whether some windows or changes could not be written.
        restarts: how often reading began again at the beginning.
    """

    def __init__(self, open_file: Callable[[], int]) -> None:
        self._open_file = open_file
        self._descriptor = -1
        self.start: datetime | None = None
        self.is_lossy = False
        self.restarts = 0
        self._offset = 0
        self._rest = b""
        self._damaged_at = -1

    def poll(self) -> bool:
        """Begin again if the file was replaced or cut; return whether there is a file.

        Raises:
            OSError: it cannot be opened.
            LogPathError: its path is no file.
        """
        try:
            descriptor = self._open_file()
        except FileNotFoundError:
            return self._descriptor >= 0
        new = os.fstat(descriptor)
        if self._descriptor >= 0:
            old = os.fstat(self._descriptor)
            if (new.st_dev, new.st_ino) == (old.st_dev, old.st_ino) and new.st_size >= self._offset:
                os.close(descriptor)
                return True
            self.restarts += 1
        self.close()
        self._descriptor = descriptor
        self._damaged_at = -1
        return True

    def read(self) -> list[Window]:
        """Return the windows of the next whole lines, in the order of time; none at the end.

        Reading stops at a line that is damaged.

        Raises:
            OSError: it cannot be read.
        """
        windows: list[Window] = []
        while not windows and self._descriptor >= 0 and self._damaged_at < 0:
            block = os.pread(self._descriptor, BLOCK_BYTES, self._offset)
            if not block:
                break
            start = self._offset - len(self._rest)
            self._offset += len(block)
            *whole, self._rest = (self._rest + block).split(b"\n")
            for text in whole:
                line = decode_line(text + b"\n")
                if line is None:
                    self._damaged_at = start
                    break
                start += len(text) + 1
                self.start = line.start or self.start
                self.is_lossy = self.is_lossy or bool(line.missing)
                if line.window is not None:
                    windows.append(line.window)
            if len(self._rest) > MAX_LINE_BYTES:
                self._damaged_at = start
        return windows

    def close(self) -> None:
        """Close the file, to begin at its beginning later."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._offset, self._rest = -1, 0, b""
        self.is_lossy = False
