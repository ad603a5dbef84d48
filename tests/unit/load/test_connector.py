"""Connecting to the RPC address: retries, a connection to itself, and whether it is free."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.error import ConnectionRefusedError as ConnectionRefused
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from unit.load.peer import REMOTE, Reports, Wire

from goloagent.load.connector import MAX_DELAY_SECONDS, MIN_DELAY_SECONDS, connect, is_free

Attempt = Callable[[Factory], Deferred[Protocol]]


class Endpoint:
    """A client endpoint whose attempts end as listed; the last one repeats."""

    def __init__(self, *attempts: Attempt) -> None:
        self._attempts = list(attempts)
        self.count = 0

    def connect(self, factory: Factory) -> Deferred[Protocol]:
        self.count += 1
        attempt = self._attempts.pop(0) if len(self._attempts) > 1 else self._attempts[0]
        return attempt(factory)


def refused(factory: Factory) -> Deferred[Protocol]:
    """Fail as without a listener."""
    return fail(ConnectionRefused())


def accepted(factory: Factory, wire: Wire | None = None) -> Deferred[Protocol]:
    """Connect over `wire`."""
    protocol = factory.buildProtocol(REMOTE)
    protocol.makeConnection(wire or Wire())
    return succeed(protocol)


def pending(factory: Factory) -> Deferred[Protocol]:
    """Connect only after the test; a cancel fails as with Twisted's endpoints."""
    return Deferred(lambda attempt: attempt.errback(ConnectingCancelledError(REMOTE)))


def test_delays_double_up_to_a_maximum(reports: Reports) -> None:
    """Without a listener `connect` retries, with doubling delays, until it is cancelled."""
    clock, endpoint = Clock(), Endpoint(refused)
    connecting = connect(clock, endpoint, reports.client(1))
    expected = MIN_DELAY_SECONDS
    for count in range(1, 20):
        assert endpoint.count == count
        (delay,) = clock.getDelayedCalls()
        assert delay.getTime() - clock.seconds() == pytest.approx(expected)
        clock.advance(delay.getTime() - clock.seconds())
        expected = min(2 * expected, MAX_DELAY_SECONDS)
    connecting.addErrback(lambda failure: failure.trap(CancelledError))
    connecting.cancel()
    assert clock.getDelayedCalls() == []
    assert endpoint.count == 20


def test_a_late_listener_is_connected(reports: Reports) -> None:
    """The first attempt that finds a listener connects the client."""
    clock, client = Clock(), reports.client(1)
    connecting = connect(clock, Endpoint(refused, refused, accepted), client)
    clock.pump([0.01, 0.02])
    assert connecting.called
    assert client.connected
    assert clock.getDelayedCalls() == []


def test_cancel_during_an_attempt(reports: Reports) -> None:
    """A cancel ends the attempt in progress and starts no other."""
    clock, endpoint, failures = Clock(), Endpoint(pending), list[Failure]()
    connecting = connect(clock, endpoint, reports.client(1))
    connecting.addErrback(failures.append)
    connecting.cancel()
    assert len(failures) == endpoint.count == 1
    assert clock.getDelayedCalls() == []


def test_an_unknown_host_is_an_error_at_once(reports: Reports) -> None:
    """A failed name resolution is not retried."""
    failures: list[Failure] = []
    endpoint = Endpoint(lambda _: fail(DNSLookupError("no such host")))
    connect(Clock(), endpoint, reports.client(1)).addErrback(failures.append)
    assert failures[0].check(DNSLookupError)


def test_a_self_connection_is_dropped(reports: Reports) -> None:
    """A socket that TCP connected to itself is not reported, and `connect` retries."""
    clock, client = Clock(), reports.client(2)
    itself, good = Wire(REMOTE, REMOTE), Wire()
    endpoint = Endpoint(lambda f: accepted(f, itself), lambda f: accepted(f, good))
    connecting = connect(clock, endpoint, client)
    assert itself.is_closed
    assert not connecting.called
    client.connectionLost()
    clock.advance(MIN_DELAY_SECONDS)
    assert connecting.called
    reports.driver.start()
    assert (reports.lost, itself.value(), good.value() != b"") == ([], b"", True)
    client.connectionLost()
    assert reports.lost == [None]


@pytest.mark.parametrize(
    ("attempt", "free"),
    [
        (refused, True),
        (lambda _: fail(ConnectError()), True),
        (accepted, False),
        (lambda f: accepted(f, Wire(REMOTE, REMOTE)), True),
    ],
    ids=["refused", "failed", "accepted", "self-connection"],
)
def test_is_free(attempt: Attempt, free: bool) -> None:
    """The address is free if no other process accepts a connection."""
    results: list[bool] = []
    ensureDeferred(is_free(Endpoint(attempt))).addCallback(results.append)
    assert results == [free]


def test_is_free_closes_its_connection() -> None:
    """The connection to a foreign listener is closed without a byte sent."""
    wire = Wire()
    ensureDeferred(is_free(Endpoint(lambda f: accepted(f, wire))))
    assert wire.is_closed
    assert wire.value() == b""
