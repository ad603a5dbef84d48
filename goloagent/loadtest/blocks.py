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


def read_in_blocks(transport: object, child_descriptor: int) -> None:
    """Read what a process just spawned writes to a descriptor in blocks of `BLOCK_BYTES`.

    The fast path beside Twisted's own reading, which stays where this is no process of the system's
    and does all else: the end of the pipe, and pausing.
    """
    if not isinstance(transport, Process):
        return
    reader: Any = transport.pipes[child_descriptor]
    descriptor: int = reader.fileno()
    little = fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ) // 4
    since, taken = reader.reactor.seconds(), 0

    def read() -> Exception | None:
        nonlocal since, taken
        try:
            block = os.read(descriptor, BLOCK_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not block:
            return CONNECTION_DONE
        reader.dataReceived(block)
        taken += len(block)
        now = reader.reactor.seconds()
        if now - since >= REST_SECONDS:
            if taken < little and reader.connected:
                reader.stopReading()
                reader.reactor.callLater(REST_SECONDS, go_on)
            since, taken = now, 0
        return None

    def go_on() -> None:
        if reader.connected and not reader.disconnecting:
            reader.startReading()

    reader.doRead = read
