"""Thins the timeline of a running job into a new file, in a thread."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import attrs

from goloagent.core.timeline import Line, Window, encode_line, thin
from goloagent.wal.run_directory import LogPathError, open_file, open_run
from goloagent.wal.run_log import write_all
from goloagent.wal.timeline_reader import TIMELINE, TimelineReader

TEMPORARY = f"{TIMELINE}.new"

# Windows take milliseconds to merge, in which the reactor waits for the interpreter.
_REST_FACTOR = 9


@attrs.frozen
class Thinned:
    """A new file.

    Attributes:
        descriptor: of the file, which the receiver closes.
        windows: how many it has.
        until: the offset in the old file up to which it replaces that.
    """

    descriptor: int
    size: int
    windows: int
    until: int


def thin_file(
    run: tuple[Path, str, str],
    until: int,
    seconds: float,
    stopped: Callable[[], bool],
    rest: Callable[[float], None] = time.sleep,
) -> Thinned | None:
    """Write the lines of a timeline up to the offset `until` to `TEMPORARY`, its windows thinned.

    Lines of other kinds follow the windows, except for the first.

    Args:
        seconds: see `thin`.
        stopped: whether to give up; then the result is None.
        rest: sleeps, after each window, much longer than the window took.

    Raises:
        OSError: the timeline is damaged, or cannot be read or written.
        LogPathError: a path is not a file.
    """
    reader = TimelineReader(open_file(*run, TIMELINE), until)
    try:
        new = open_file(*run, TEMPORARY, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:
            windows = _copy(reader, new, seconds, stopped, rest)
            if windows is not None:
                return Thinned(new, os.fstat(new).st_size, windows, until)
        except BaseException:
            os.close(new)
            discard(run)
            raise
        os.close(new)
        discard(run)
        return None
    finally:
        reader.close()


def discard(run: tuple[Path, str, str]) -> None:
    """Remove a file by `thin_file` that is not needed."""
    with suppress(OSError, LogPathError), open_run(*run) as own:
        os.unlink(TEMPORARY, dir_fd=own)


def _copy(
    reader: TimelineReader,
    new: int,
    seconds: float,
    stopped: Callable[[], bool],
    rest: Callable[[float], None],
) -> int | None:
    """Write thinned windows and then the other lines; return the number of windows.

    The result is None if it was stopped.
    """
    others: list[Line] = []

    def windows() -> Iterator[Window]:
        for line in reader.lines():
            if line.window is not None:
                yield line.window
            elif line.start is not None:
                write_all(new, encode_line(line))
            else:
                others.append(line)

    count, begun = 0, time.monotonic()
    for window in thin(windows(), seconds):
        if stopped():
            return None
        write_all(new, encode_line(Line(window=window)))
        count += 1
        rest(_REST_FACTOR * (time.monotonic() - begun))
        begun = time.monotonic()
    if reader.damaged:
        raise OSError(errno.EIO, "its file is damaged")
    write_all(new, b"".join(map(encode_line, others)))
    return count
