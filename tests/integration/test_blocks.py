"""The pipe of a real process, read in blocks with rests in between."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest_twisted
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from goloagent.sandbox.pipe_reader import REST_SECONDS, PipeReader

# Some bytes each time that it was heard.
TALKER = "while True: print(flush=True); input()"


class Listener(ProcessProtocol):
    """Hears what a talker says, and answers so often that it goes on."""

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


def talk(listener: Listener) -> None:
    """Begin a talk."""
    from twisted.internet import reactor

    spawning: Any = reactor
    spawning.spawnProcess(listener, sys.executable, [sys.executable, "-c", TALKER])
    PipeReader(listener.transport, 1)


@pytest_twisted.ensureDeferred
async def test_all_is_heard_to_the_end() -> None:
    """What is said while the reader rests is read behind the rest, and the end is noticed."""
    listener = Listener(answers=20)
    talk(listener)
    await listener.last
    listener.transport.closeStdin()
    await listener.ended
    assert b"".join(listener.heard) == b"\n" * 21


@pytest_twisted.ensureDeferred
async def test_nothing_is_heard_once_nobody_listens() -> None:
    """A rest that ends together with the listening does not begin it anew."""
    from twisted.internet import reactor

    timing: Any = reactor
    listener = Listener(answers=1)
    talk(listener)
    await listener.last
    # The reader rests from now on, and there is more to read.
    listener.transport.write(b"\n")
    timing.callLater(REST_SECONDS / 2, _hold_up, REST_SECONDS)
    await task.deferLater(timing, REST_SECONDS * 0.9, listener.transport.loseConnection)
    listener.transport.signalProcess("KILL")
    await listener.ended
    assert listener.heard == [b"\n"] * 2


def _hold_up(seconds: float) -> None:
    """Let timers become due together, as a busy reactor does."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
