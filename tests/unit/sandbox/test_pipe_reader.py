"""How long the writer of a pipe waits for its reader."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest
from twisted.internet.process import Process
from twisted.internet.task import Clock

from goloagent.sandbox.pipe_reader import BLOCK_BYTES, PIPE_BYTES, PipeReader

HANDLING_SECONDS = 0.5


class Reader:
    """The reader of a pipe that Twisted would have; what it reads is handled in half a second."""

    connected = True
    disconnecting = False

    def __init__(self, descriptor: int) -> None:
        self.reactor = Clock()
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def dataReceived(self, data: bytes) -> None:
        self.reactor.advance(HANDLING_SECONDS)

    def doRead(self) -> Exception | None:
        raise NotImplementedError

    def connectionLost(self, reason: object) -> None:
        raise NotImplementedError

    def startReading(self) -> None:
        """Do nothing."""

    def stopReading(self) -> None:
        """Do nothing."""


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """Return both ends of a pipe, which do not block."""
    read, write = os.pipe2(os.O_NONBLOCK)
    yield read, write
    os.close(read)
    os.close(write)


def test_a_full_pipe_blocks_its_writer_until_a_block_was_handled(ends: tuple[int, int]) -> None:
    """The time of a read that finds the pipe full counts, with the handling of its block."""
    read, write = ends
    reader = Reader(read)
    transport = object.__new__(Process)
    transport.pipes = {1: reader}
    pipe = PipeReader(transport, 1)
    reader.reactor.advance(1)
    os.write(write, bytes(BLOCK_BYTES))
    assert reader.doRead() is None
    assert pipe.blocked_seconds == 0
    with suppress(BlockingIOError):
        while os.write(write, bytes(PIPE_BYTES)):
            pass
    reader.reactor.advance(0.25)
    assert reader.doRead() is None
    assert pipe.blocked_seconds == pytest.approx(0.25 + HANDLING_SECONDS)
    assert reader.doRead() is None
    assert pipe.blocked_seconds == pytest.approx(0.25 + HANDLING_SECONDS)
