"""The line that `sdk.report` prints for one request: its content, and the write to stdout.

Load tests run it on Python 3.8 or later, with the standard library only.
"""

from __future__ import annotations

import json
import math
import os
import select
import threading
from datetime import datetime, timedelta, timezone

# The agent counts a longer line as invalid.
MAX_LINE_BYTES = (1 << 20) - 2
MAX_ERROR_TEXT = 4096

_MINUTE = timedelta(minutes=1)
_NANOSECONDS = 1e9


def result_line(
    *,
    method: str,
    url: str,
    status: int,
    size: int,
    duration_seconds: float,
    error: object,
    sequence_id: str,
    timestamp: datetime,
) -> bytes:
    """Return the result of one request as a valid line of JSON.

    Raises:
        ValueError: a number is not finite or beyond 64 bits, the time has no zone or does not exist
            in UTC, or the line is longer than `MAX_LINE_BYTES`.
        TypeError: an argument is of another type, or `error` cannot be JSON.
    """
    for name, text in (("method", method), ("url", url)):
        if not isinstance(text, str):
            raise TypeError(f"{name} must be a str, not {type(text).__name__}")
    nanoseconds = float(duration_seconds) * _NANOSECONDS
    if not math.isfinite(nanoseconds):
        raise ValueError(f"duration_seconds must be finite, not {duration_seconds}")
    if isinstance(error, BaseException):
        error = f"{type(error).__name__}: {text_of(error)}"[:MAX_ERROR_TEXT]
    result = {
        "sequenceID": str(sequence_id),
        "url": url,
        "method": method,
        "status": _int64("status", status),
        "size": _int64("size", size),
        "timestamp": rfc3339(timestamp),
        "duration": _int64("duration_seconds", round(nanoseconds)),
        "error": error,
    }
    try:
        text = json.dumps(result, allow_nan=False)
        if not (error is None or isinstance(error, str)):
            # JSON allows any integer; the agent and collectors decode numbers as 64-bit floats.
            json.loads(text, parse_int=_finite)
    except RecursionError:
        raise ValueError("error is nested too deep for JSON") from None
    line = text.encode() + b"\n"
    if len(line) - 1 > MAX_LINE_BYTES:
        raise ValueError(
            f"the result has {len(line) - 1} bytes; the agent accepts {MAX_LINE_BYTES}: "
            "shorten url or error"
        )
    return line


def rfc3339(time: datetime) -> str:
    """Format a time by RFC 3339, in its own zone, or in UTC if the offset has seconds.

    Raises:
        ValueError: the time has no zone, or does not exist in UTC.
        TypeError: it is no datetime.
    """
    if not isinstance(time, datetime):
        raise TypeError(f"timestamp must be a datetime, not {type(time).__name__}")
    offset = time.utcoffset()
    if offset is None:
        raise ValueError("timestamp has no time zone: use datetime.now(timezone.utc)")
    if offset % _MINUTE:
        try:
            time = time.astimezone(timezone.utc)
        except OverflowError:
            raise ValueError(f"timestamp {time} does not exist in UTC") from None
    return time.isoformat(timespec="microseconds")


def text_of(error: BaseException) -> str:
    """Return the text of an exception, or the name of its type if it has none or raises."""
    try:
        return str(error) or type(error).__name__
    except BaseException:  # any: the call still needs a reply
        return type(error).__name__


def _int64(name: str, value: int) -> int:
    try:
        number = int(value)
    except OverflowError:  # an infinite float
        number = 2**63
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{name} does not fit into 64 bits: {value}")
    return number


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("error has a number beyond the range of a 64-bit float")
    return number


class LineWriter:
    """Writes whole lines to a descriptor, from any thread, also if it is non-blocking.

    Stdout may be non-blocking: asyncio's ``connect_write_pipe`` and child processes that share the
    pipe make it so. Then the writer waits while the pipe is full.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._reset()
        # A line that is being written at a fork, and its lock, belong to the parent.
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._torn = b""

    def write(self, line: bytes) -> None:
        """Write a line completely.

        If the write fails after the first byte, the next call completes the line before its own.

        Raises:
            OSError: it cannot be written, such as `BrokenPipeError` without a reader.
        """
        with self._lock:
            self._finish_torn_line()
            self._torn = line
            try:
                self._finish_torn_line()
            finally:
                if self._torn is line:
                    self._torn = b""

    def _finish_torn_line(self) -> None:
        while self._torn:
            try:
                written = os.write(self._descriptor, self._torn)
            except BlockingIOError:
                self._wait()
            else:
                self._torn = self._torn[written:]

    def _wait(self) -> None:
        """Wait until the descriptor is writable or has no reader."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        poll.poll()
