"""Reads a pipe of a process in large blocks.

Twisted reads 8 KiB at a time, about 45 results, and as soon as there is a line. Each read costs a
system call, a write to the log and the work on a block, so this reader reads more and less often.
"""

from __future__ import annotations

import fcntl
import os
from typing import Any

from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.process import Process

BLOCK_BYTES = 64 * 1024
"""The default capacity of a pipe; a kill of the agent loses at most one and a block."""

REST_SECONDS = 0.005
"""The pause after a period of the same length that filled less than a quarter of the pipe. A burst
during the pause waits for its end if the pipe is full."""


class PipeReader:
    """Reads what a process that was just spawned writes to a descriptor.

    It replaces the read method of Twisted's own reader, which still handles the end of the pipe.
    For a fake process in a test it does nothing.
    """

    def __init__(self, transport: object, child_descriptor: int) -> None:
        self._reader: Any = None
        self._is_paused = self._is_resting = False
        if not isinstance(transport, Process):
            return
        reader: Any = transport.pipes[child_descriptor]
        self._reader = reader
        self._descriptor: int = reader.fileno()
        self._pipe_bytes = fcntl.fcntl(self._descriptor, fcntl.F_GETPIPE_SZ)
        self._period_start, self._period_bytes = reader.reactor.seconds(), 0
        reader.doRead = self._read

    def pause(self) -> None:
        """Read nothing until `resume`; the process blocks once the pipe is full."""
        self._is_paused = True
        if self._reader is not None:
            self._reader.stopReading()

    def resume(self) -> None:
        """Read again."""
        self._is_paused = False
        self._start_reading()

    def read_rest(self) -> None:
        """Read the present content of the pipe, even if the reader is paused."""
        reader, left = self._reader, 0 if self._reader is None else self._pipe_bytes
        while left > 0 and reader.connected:
            try:
                block = os.read(self._descriptor, BLOCK_BYTES)
            except OSError:
                return
            if not block:
                return
            left -= len(block)
            reader.dataReceived(block)

    def _read(self) -> Exception | None:
        reader = self._reader
        try:
            block = os.read(self._descriptor, BLOCK_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not block:
            return CONNECTION_DONE
        reader.dataReceived(block)
        self._period_bytes += len(block)
        now = reader.reactor.seconds()
        if now - self._period_start >= REST_SECONDS:
            if self._period_bytes < self._pipe_bytes // 4 and reader.connected:
                self._is_resting = True
                reader.stopReading()
                reader.reactor.callLater(REST_SECONDS, self._end_rest)
            self._period_start, self._period_bytes = now, 0
        return None

    def _end_rest(self) -> None:
        self._is_resting = False
        self._start_reading()

    def _start_reading(self) -> None:
        reader = self._reader
        if reader is None or self._is_paused or self._is_resting:
            return
        if reader.connected and not reader.disconnecting:
            reader.startReading()
