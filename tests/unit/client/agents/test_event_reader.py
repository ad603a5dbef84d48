"""The reader of events, when the agent falls silent."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from goloagent.client.agents.events import EventReader


class Response:
    """A response whose body the test sends."""

    closed = False

    def deliverBody(self, protocol: Any) -> None:
        """Connect the reader."""
        protocol.makeConnection(self)

    def loseConnection(self) -> None:
        """Note it."""
        self.closed = True


async def _kinds(reader: EventReader) -> list[str]:
    return [kind async for kind, _ in reader]


def test_a_silent_stream_ends() -> None:
    """After the given time without a byte; a comment counts, and so do events that came."""
    clock, response = Clock(), Response()
    reader = EventReader(response, clock, 4)  # type: ignore[arg-type]
    reading = ensureDeferred(_kinds(reader))
    reader.dataReceived(b"event: state\ndata: {}\n\n")
    clock.advance(3.9)
    reader.dataReceived(b":\n\n")
    clock.advance(3.9)
    assert not reading.called
    clock.advance(0.2)
    assert reading.result == ["state"]
    assert response.closed
    assert not clock.getDelayedCalls()
