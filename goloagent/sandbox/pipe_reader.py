"""A pipe read in large blocks.

Twisted reads 8 KiB at a time, some 45 results; the cost of a system call, of a write to the log and
of the work on a block is then paid that often. It reads as soon as there is a line, too; here a
moment passes, in which more come. Refuses to know what is read.
"""

from __future__ import annotations

import fcntl
import os
from typing import Any

from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.process import Process

BLOCK_BYTES = 64 * 1024
"""What a pipe holds unless it is told otherwise; a kill of the agent loses no more than it and one
block."""

REST_SECONDS = 0.005
"""How long nothing is read when little comes: less than a quarter of the pipe in as long a time.
What is printed in a burst meanwhile, beyond what the pipe holds, waits for the end of the rest."""


class PipeReader:
    """Reads what a process just spawned writes to a descriptor in blocks of `READ_BYTES`.

    The fast path beside Twisted's own reading, which stays where this is no process of the system's
    and does all else: the end of the pipe, and the end of reading.
    """

    def __init__(self, transport: object, child_descriptor: int) -> None:
        self._reader: Any = None
        self._is_paused = self._rests = False
        if not isinstance(transport, Process):
            return
        reader: Any = transport.pipes[child_descriptor]
        self._reader = reader
        self._descriptor: int = reader.fileno()
        self._pipe_bytes = fcntl.fcntl(self._descriptor, fcntl.F_GETPIPE_SZ)
        self._since, self._taken = reader.reactor.seconds(), 0
        reader.doRead = self._read

    def pause(self) -> None:
        """Read nothing until `resume`; who writes waits once the pipe is full."""
        self._is_paused = True
        if self._reader is not None:
            self._reader.stopReading()

    def resume(self) -> None:
        """Go on."""
        self._is_paused = False
        self._go_on()

    def read_rest(self) -> None:
        """Read what is in the pipe now, though it is paused."""
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
        self._taken += len(block)
        now = reader.reactor.seconds()
        if now - self._since >= REST_SECONDS:
            if self._taken < self._pipe_bytes // 4 and reader.connected:
                self._rests = True
                reader.stopReading()
                reader.reactor.callLater(REST_SECONDS, self._end_rest)
            self._since, self._taken = now, 0
        return None

    def _end_rest(self) -> None:
        self._rests = False
        self._go_on()

    def _go_on(self) -> None:
        reader = self._reader
        if reader is None or self._is_paused or self._rests:
            return
        if reader.connected and not reader.disconnecting:
            reader.startReading()
