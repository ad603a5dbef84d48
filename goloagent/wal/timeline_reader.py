"""Reads the timeline of a run, also while it is written, and after a kill of the agent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import attrs

from goloagent.core.timeline import Line, Window, decode_line

TIMELINE = "timeline.jsonl"
BLOCK_BYTES = 64 * 1024

MAX_LINE_BYTES = 1024 * 1024


@attrs.frozen
class Timeline:
    """A timeline as it was read.

    Attributes:
        start: of the load; None if the file is damaged in its first line.
        complete: whether every second of the load up to its end has a window.
        missing: sentences about what is not there.
    """

    start: datetime | None
    windows: list[Window]
    changes: list[dict[str, Any]]
    complete: bool
    missing: list[str]


class TimelineReader:
    """An open file of a timeline, read up to a line that is cut or damaged.

    Args:
        descriptor: it is closed by `close`.
        end: the offset at which to stop; the present end of the file if it is None.

    Attributes:
        start: of the load; this and the following are of the lines that were read.
        damaged: whether there was such a line.
        closed: whether the run has ended.
        until: the end of the last window, in seconds from the start.
        results: of all windows.
        notes: sentences about what could not be written.
    """

    def __init__(self, descriptor: int, end: int | None = None) -> None:
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self._end = status.st_size if end is None else end
        self.version = (status.st_ino, status.st_mtime_ns, self._end)
        self.start: datetime | None = None
        self.damaged = self.closed = False
        self.until = 0.0
        self.results = 0
        self.changes: list[dict[str, Any]] = []
        self.notes: list[str] = []

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def windows(self) -> Iterator[Window]:
        """Yield each window, in the order of time.

        Raises:
            OSError: the file cannot be read.
        """
        for line in self.lines():
            self.start, self.closed = line.start or self.start, line.closed
            if line.change is not None:
                self.changes.append(line.change)
            if line.missing:
                self.notes.append(line.missing)
            if line.window is not None:
                self.until = line.window.at + line.window.seconds
                self.results += line.window.results
                yield line.window

    def lines(self) -> Iterator[Line]:
        """Yield each line.

        Raises:
            OSError: the file cannot be read.
        """
        for encoded in self._split():
            line = decode_line(encoded)
            if line is None:
                self.damaged = True
                return
            yield line

    def missing(self, is_over: bool) -> list[str]:
        """Return sentences about what is missing of a run, after all windows were read."""
        if is_over and not self.closed:
            why = "it is damaged" if self.damaged else "the agent was killed, or its disk was full"
            return [*self.notes, f"The timeline ends after {self.until:g} s: {why}."]
        return self.notes

    def _split(self) -> Iterator[bytes]:
        rest, offset = b"", 0
        while offset < self._end and len(rest) <= MAX_LINE_BYTES:
            count = min(BLOCK_BYTES, self._end - offset)
            block = os.pread(self._descriptor, count, offset)
            if not block:
                break
            offset += len(block)
            *whole, rest = (rest + block).split(b"\n")
            for line in whole:
                yield line + b"\n"
        if rest:
            yield rest


def read(reader: TimelineReader) -> Timeline:
    """Read the whole timeline of a run that is over, in a thread if it may be long.

    Raises:
        OSError: it cannot be read.
    """
    windows = list(reader.windows())
    missing = reader.missing(is_over=True)
    return Timeline(reader.start, windows, reader.changes, not missing, missing)
