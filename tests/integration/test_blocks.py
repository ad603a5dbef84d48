"""The pipe reader with a real process: it reads in blocks and rests in between."""

from __future__ import annotations

import fcntl
import struct
import sys
import termios
import time
from typing import Any

import pytest
from twisted.internet import reactor, task
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from goloagent.sandbox import pipe_reader
from goloagent.sandbox.pipe_reader import PIPE_BYTES, PipeReader
from goloagent.sandbox.read_pacer import FIRST_REST_SECONDS

# Prints some bytes whenever it is answered.
TALKER = "while True: print(flush=True); input()"
# Prints 4 MiB, 7 bytes a line.
FLOOD_BYTES = 4 * 1024 * 1024 // 7 * 7
FLOODER = f"for number in range({FLOOD_BYTES} // 7): print(f'{{number:06}}')"
# Prints more than any pipe holds, whenever it is answered.
OVERFLOWER = "while True: input(); print('x' * 300_000, flush=True)"


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


def start(listener: ProcessProtocol, program: str = TALKER) -> PipeReader:
    """Start the process."""
    spawning: Any = reactor
    spawning.spawnProcess(listener, sys.executable, [sys.executable, "-c", program])
    return PipeReader(listener.transport, 1)


def waiting_bytes(protocol: ProcessProtocol) -> int:
    """Return how many bytes the pipe of stdout holds."""
    transport: Any = protocol.transport
    count = fcntl.ioctl(transport.pipes[1].fileno(), termios.FIONREAD, bytes(4))
    return int(struct.unpack("i", count)[0])


class Witness(ProcessProtocol):
    """Records output, and whether it was still in the pipe meanwhile."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.kept: list[bool] = []
        self.capacities: set[int] = set()
        self.ended: Deferred[None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        self.heard += data
        self.kept.append(waiting_bytes(self) >= len(data))
        self.capacities.add(fcntl.fcntl(transport.pipes[1].fileno(), fcntl.F_GETPIPE_SZ))

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(None)


def numbers() -> bytes:
    """Return what the flooder prints."""
    return b"".join(b"%06d\n" % number for number in range(FLOOD_BYTES // 7))


async def test_a_block_stays_in_the_pipe_until_it_is_passed_on() -> None:
    """All output arrives once, and what is not passed on yet never exceeds the pipe."""
    witness = Witness()
    start(witness, FLOODER)
    await witness.ended
    assert witness.heard == numbers()
    assert all(witness.kept)
    assert witness.capacities == {PIPE_BYTES}


async def test_a_system_without_tee(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipe keeps its capacity, so that with the block in memory it is no more."""

    def fail(descriptor: int) -> None:
        raise OSError

    monkeypatch.setattr(pipe_reader, "PipePeek", fail)
    witness = Witness()
    start(witness, FLOODER)
    await witness.ended
    assert witness.heard == numbers()
    assert max(witness.capacities) + pipe_reader.BLOCK_BYTES <= PIPE_BYTES


async def test_reading_within_the_passing_on_repeats_nothing() -> None:
    """A run that ends because of its output reads the rest of the pipe at once."""
    read_rest: list[PipeReader] = []

    class Ending(Witness):
        def outReceived(self, data: bytes) -> None:
            self.heard += data
            if read_rest:
                read_rest.pop().read_rest()

    ending = Ending()
    read_rest.append(start(ending, FLOODER))
    await ending.ended
    assert ending.heard == numbers()


async def test_the_time_in_which_the_pipe_was_full_is_counted() -> None:
    """It counts while the process waits, and not while it prints what the pipe can hold."""
    listener = Listener(answers=0)
    reader = start(listener, "print(flush=True)\n" + OVERFLOWER)
    await listener.last
    assert reader.blocked_seconds == 0.0
    reader.pause()
    listener.transport.write(b"\n")
    timing: Any = reactor
    while waiting_bytes(listener) < 0.9 * PIPE_BYTES:
        await task.deferLater(timing, 0.01)
    await task.deferLater(timing, 0.05)
    reader.resume()
    listener.transport.closeStdin()
    await listener.ended
    assert reader.blocked_seconds >= 0.05


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
    timing.callLater(FIRST_REST_SECONDS / 2, _delay_timers, FIRST_REST_SECONDS)
    await task.deferLater(timing, FIRST_REST_SECONDS * 0.9, listener.transport.loseConnection)
    listener.transport.signalProcess("KILL")
    await listener.ended
    assert listener.heard == [b"\n"] * 2


def _delay_timers(seconds: float) -> None:
    """Make several timers due at once, as in a busy reactor."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
