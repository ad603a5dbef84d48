"""The pipe reader with a real process: it reads in blocks and rests in between."""

from __future__ import annotations

import sys
import time
from typing import Any

from twisted.internet import reactor, task
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from goloagent.sandbox.pipe_reader import REST_SECONDS, PipeReader

# Prints some bytes whenever it is answered.
TALKER = "while True: print(flush=True); input()"


class Listener(ProcessProtocol):
    """Records the output of the process, and answers it a number of times."""

    def __init__(self, answers: int) -> None:
        self.heard: list[bytes] = []
        self.ended: Deferred[None] = Deferred()
        self.last: Deferred[None] = Deferred()
        self._answers = answers

    def outReceived(self, data: bytes) -> None:
        self.heard.append(data)
        if len(self.heard) <= self._answers:
            self.transport.write(b"\n")
        elif not self.last.called:
            self.last.callback(None)

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(None)


def start(listener: Listener) -> None:
    """Start the process."""
    spawning: Any = reactor
    spawning.spawnProcess(listener, sys.executable, [sys.executable, "-c", TALKER])
    PipeReader(listener.transport, 1)


async def test_all_output_is_read() -> None:
    """Output during a rest is read after it, and the end is noticed."""
    listener = Listener(answers=20)
    start(listener)
    await listener.last
    listener.transport.closeStdin()
    await listener.ended
    assert b"".join(listener.heard) == b"\n" * 21


async def test_a_stopped_reader_reads_nothing() -> None:
    """A rest that ends when reading stops is not started again."""
    timing: Any = reactor
    listener = Listener(answers=1)
    start(listener)
    await listener.last
    # The reader rests from now on, with more to read.
    listener.transport.write(b"\n")
    timing.callLater(REST_SECONDS / 2, _delay_timers, REST_SECONDS)
    await task.deferLater(timing, REST_SECONDS * 0.9, listener.transport.loseConnection)
    listener.transport.signalProcess("KILL")
    await listener.ended
    assert listener.heard == [b"\n"] * 2


def _delay_timers(seconds: float) -> None:
    """Make several timers due at once, as in a busy reactor."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
