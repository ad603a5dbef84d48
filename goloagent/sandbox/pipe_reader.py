"""Reads a pipe of a process in large blocks.

Twisted reads 8 KiB at a time, about 45 results, and as soon as there is a line. Each read costs a
system call, a write to the log and the work on a block, so this reader reads more and less often.

A kill of the agent loses what was printed and not passed on. So a block leaves the pipe after it
was passed on, and the pipe's capacity is the maximum loss.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from contextlib import suppress
from typing import Any

from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.process import Process
from twisted.python.failure import Failure

from goloagent.sandbox.pipe_peek import PipePeek
from goloagent.sandbox.read_pacer import ReadPacer

BLOCK_BYTES = 64 * 1024
PIPE_BYTES = 128 * 1024
"""The capacity of a pipe, twice the usual, and the maximum loss by a kill of the agent. If the
system does not allow that (``pipe-user-pages-soft``), or no peek, the usual one stays, so that pipe
and block are not more either."""

# The share of the capacity that is read after a rest. The remainder takes bursts.
_TARGET_SHARE = 4
# From this share on the pipe counts as full: the kernel fills pages, and leaves the end of each
# empty if a line does not fit.
_FULL_SHARE = 0.75


class PipeReader:
    """Reads what a process that was just spawned writes to a descriptor.

    It replaces the read method of Twisted's own reader, which still handles the end of the pipe.
    For a fake process in a test it does nothing.

    Attributes:
        blocked_seconds: how long at most the process waited until now, because the pipe was full:
            the time of each read that found it so, from the end of the read before.
    """

    def __init__(self, transport: object, child_descriptor: int) -> None:
        self.blocked_seconds = 0.0
        self._reader: Any = None
        self._is_paused = self._is_resting = False
        self._peek: PipePeek | None = None
        self._passed_on = 0  # bytes that were passed on, and are still in the pipe
        if not isinstance(transport, Process):
            return
        reader: Any = transport.pipes[child_descriptor]
        self._reader = reader
        self._descriptor: int = reader.fileno()
        self._lose = reader.connectionLost
        with suppress(OSError):
            self._peek = PipePeek(self._descriptor)
            fcntl.fcntl(self._descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._pipe_bytes = fcntl.fcntl(self._descriptor, fcntl.F_GETPIPE_SZ)
        self._pacer = ReadPacer(self._pipe_bytes // _TARGET_SHARE)
        self._period_bytes = 0
        self._period_start = self._read_at = reader.reactor.seconds()
        reader.doRead, reader.connectionLost = self._read, self._connection_lost

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
                block = self._next_block()
            except OSError:
                return
            if not block:
                return
            left -= len(block)
            self._pass_on(block)

    def _read(self) -> Exception | None:
        reader = self._reader
        try:
            waiting = self._waiting_bytes()
            block = self._next_block()
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not block:
            return CONNECTION_DONE
        self._pass_on(block)
        self._period_bytes += len(block)
        before, now = self._read_at, reader.reactor.seconds()
        self._read_at = now
        # The block was in the pipe until now.
        if waiting >= _FULL_SHARE * self._pipe_bytes:
            self.blocked_seconds += now - before
        if len(block) >= waiting:
            seconds = self._pacer.rest(self._period_bytes, now - self._period_start)
            self._period_start, self._period_bytes = now, 0
            if seconds and reader.connected:
                self._is_resting = True
                reader.stopReading()
                reader.reactor.callLater(seconds, self._end_rest)
        return None

    def _next_block(self) -> bytes:
        """Return the next bytes of the pipe; nothing at its end.

        Raises:
            OSError: there are none now, or the pipe cannot be read.
        """
        self._remove_passed_on()
        if self._peek is None:
            return os.read(self._descriptor, BLOCK_BYTES)
        return self._peek.peek(BLOCK_BYTES)

    def _pass_on(self, block: bytes) -> None:
        self._passed_on = 0 if self._peek is None else len(block)
        self._reader.dataReceived(block)
        self._remove_passed_on()

    def _remove_passed_on(self) -> None:
        """Remove the block that was passed on, perhaps within its passing on."""
        while self._passed_on and self._reader.connected:
            self._passed_on -= len(os.read(self._descriptor, self._passed_on))

    def _waiting_bytes(self) -> int:
        count: int
        (count,) = struct.unpack("i", fcntl.ioctl(self._descriptor, termios.FIONREAD, bytes(4)))
        return count - self._passed_on

    def _connection_lost(self, reason: Failure) -> None:
        if self._peek is not None:
            self._peek.close()
        self._lose(reason)

    def _end_rest(self) -> None:
        self._is_resting = False
        self._start_reading()

    def _start_reading(self) -> None:
        reader = self._reader
        if reader is None or self._is_paused or self._is_resting:
            return
        if reader.connected and not reader.disconnecting:
            reader.startReading()
