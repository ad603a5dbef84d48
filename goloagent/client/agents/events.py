"""Reads server-sent events (the HTML standard, section 9.2) from a response."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.iweb import IResponse

MAX_EVENT_BYTES = 8 * 1024 * 1024
MAX_QUEUED = 1000
"""Events that wait for their reader before the connection is paused."""


class EventParser:
    """Splits a stream into events; pure.

    Raises:
        ValueError: an event is longer than `MAX_EVENT_BYTES`.
    """

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[tuple[str, str]]:
        """Yield the kind and the data of each event that is complete."""
        self._buffer += data
        *blocks, self._buffer = self._buffer.split(b"\n\n")
        if len(self._buffer) > MAX_EVENT_BYTES:
            raise ValueError(f"an event is longer than {MAX_EVENT_BYTES} bytes")
        for block in blocks:
            kind, lines = "message", []
            for line in block.decode(errors="replace").split("\n"):
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if name == "event":
                    kind = value
                elif name == "data":
                    lines.append(value)
            if lines:
                yield kind, "\n".join(lines)


class EventReader(Protocol):
    """Iterates over the events of a response until it ends; pauses the sender when it is behind.

    Args:
        quiet_seconds: after so long without a byte the iteration ends too.
    """

    def __init__(self, response: IResponse, clock: IReactorTime, quiet_seconds: float) -> None:
        self._quiet_seconds = quiet_seconds
        self._quiet = clock.callLater(quiet_seconds, self._end_quietly)
        self._parser = EventParser()
        self._events: deque[tuple[str, str]] = deque()
        self._waiting: Deferred[None] | None = None
        self._end: BaseException | None = None
        self._paused = False
        response.deliverBody(self)

    def dataReceived(self, data: bytes) -> None:
        """Queue the events of a part of the body."""
        if self._quiet.active():
            self._quiet.reset(self._quiet_seconds)
        try:
            self._events.extend(self._parser.feed(data))
        except ValueError as error:
            self._end = error
            self.close()
        if len(self._events) > MAX_QUEUED and not self._paused:
            self._paused = True
            self._sender.pauseProducing()
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End the iteration, with an error unless the response is complete."""
        if self._end is None:
            whole = reason.check(ResponseDone) is not None
            self._end = StopAsyncIteration() if whole else reason.value
        self._wake()

    def close(self) -> None:
        """Close the connection; a second time does nothing."""
        if self._quiet.active():
            self._quiet.cancel()
        if self._end is None:
            self._end = StopAsyncIteration()
        self._sender.loseConnection()

    def __aiter__(self) -> EventReader:
        """Return the iterator itself."""
        return self

    async def __anext__(self) -> tuple[str, str]:
        """Return the next event."""
        while not self._events:
            if self._end is not None:
                raise self._end
            self._waiting = Deferred()
            await self._waiting
        if self._paused and len(self._events) <= MAX_QUEUED // 2:
            self._paused = False
            self._sender.resumeProducing()
        return self._events.popleft()

    def _end_quietly(self) -> None:
        self.close()
        self._wake()

    @property
    def _sender(self) -> Any:
        return self.transport

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)
