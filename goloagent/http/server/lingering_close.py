"""Closes a connection without losing its last response.

If the agent closed a socket while the client still sends, the kernel would reset the connection
and the client might lose the response. So the agent closes it for writing, then reads and discards
what the client sends until the client closes or the limits are reached.
"""

from __future__ import annotations

from typing import Any

from goloagent.concurrency.cooperation import TurnQueue
from goloagent.http.server.deadline import Deadline
from goloagent.http.server.limits import Discard, Limits
from goloagent.http.server.transport import is_tls, unsent_bytes

# After this time a connection that must close at once is aborted, even if data is unsent.
_ABORT_SECONDS = 2.0


class LingeringClose:
    """The close of the connection on `transport`.

    Args:
        turns: the queue of all connections that discard, one read per iteration of the reactor.
        deadline: the connection's timer.
        announced_bytes: the rest of the request's body by its length, None if that is unknown.
    """

    def __init__(
        self,
        transport: Any,
        limits: Limits,
        turns: TurnQueue,
        deadline: Deadline,
        announced_bytes: int | None,
    ) -> None:
        self._transport = transport
        self._limits = limits
        self._turns = turns
        self._deadline = deadline
        self._discard = Discard(limits, announced_bytes)
        self._is_queued = False
        self._has_closed = False

    def start(self, received_bytes: int) -> None:
        """Close for writing and begin to discard; `received_bytes` were received already."""
        if not is_tls(self._transport):
            self._transport.loseWriteConnection()
        self._transport.resumeProducing()
        self._deadline.set(self._limits.discard_quiet_seconds, self._check)
        self._count(received_bytes)

    def receive(self, count: int) -> None:
        """Discard received bytes; read further ones in a later iteration of the reactor."""
        self._count(count)
        if not self._is_queued and not self._transport.disconnecting:
            self._is_queued = True
            self._transport.pauseProducing()
            self._turns.wait(self._resume)

    def close_now(self) -> None:
        """Close even if the client still sends, once the written data is sent."""
        self._deadline.set(_ABORT_SECONDS, self._transport.abortConnection)
        self._transport.loseConnection()

    def _count(self, count: int) -> None:
        if not self._discard.add(count):
            self.close_now()
        elif self._discard.complete and is_tls(self._transport) and not self._has_closed:
            self._close()  # TLS still reads until the client has closed, too

    def _resume(self) -> None:
        self._is_queued = False
        if not self._transport.disconnecting and self._transport.connected:
            self._transport.resumeProducing()

    def _check(self) -> None:
        if self._discard.may_continue():
            self._deadline.set(self._limits.discard_quiet_seconds, self._check)
        else:
            self._close()

    def _close(self) -> None:
        """Close once the written data is sent; abort if the client stops reading it."""
        self._has_closed = True
        self._abort_unless_below(unsent_bytes(self._transport))
        self._transport.loseConnection()

    def _abort_unless_below(self, unsent: int) -> None:
        def check() -> None:
            now = unsent_bytes(self._transport)
            if now < unsent:
                self._abort_unless_below(now)
            else:
                self._transport.abortConnection()

        self._deadline.set(self._limits.close_seconds, check)
