"""The users' calls on one connection, and how it is made."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, fail, succeed
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    DNSLookupError,
)
from twisted.internet.error import ConnectionRefusedError as ConnectionRefused
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from unit.load.peer import HERE, THERE, Peer, Wire

from goloagent.jobs.job import CallCounts
from goloagent.load.rpc_client import (
    FIRST_DELAY_SECONDS,
    LONGEST_DELAY_SECONDS,
    METHOD,
    RpcClient,
    connect,
    is_free,
)
from goloagent.sandbox import peer_check


class Told:
    """What users report."""

    def __init__(self) -> None:
        self.returned = 0
        self.lost: list[str | None] = []

    def users(self, count: int, calls: CallCounts) -> RpcClient:
        def returned() -> None:
            self.returned += 1

        return RpcClient(count, calls, returned, self.lost.append)


@pytest.fixture
def told() -> Told:
    """What the users of the test report."""
    return Told()


@pytest.fixture
def calls() -> CallCounts:
    """The counts of the users of the test."""
    return CallCounts()


def test_every_user_calls_at_once(told: Told, calls: CallCounts) -> None:
    """`drive` makes one call for each user, of Go's method, and none before."""
    users = told.users(25, calls)
    peer = Peer(users)
    assert (peer.waiting, calls.started) == (0, 0)
    users.start()
    assert (peer.waiting, calls.started, calls.in_flight) == (25, 25, 25)
    assert peer.methods == {METHOD} == {"Server.Run"}
    assert peer.wire.no_delay


def test_nothing_is_heard_before_the_drive(told: Told, calls: CallCounts) -> None:
    """Whoever is at the other end cannot say or end anything before it is known who that is."""
    users = told.users(1, calls)
    peer = Peer(users)
    assert peer.wire.producerState == "paused"
    users.start()
    assert peer.wire.producerState == "producing"


def test_the_ends_of_a_connection(told: Told, calls: CallCounts) -> None:
    """By them the connection is found in the kernel's tables."""
    users = told.users(1, calls)
    Peer(users)
    ours, theirs = (peer_check.endpoint(address.host, address.port) for address in (HERE, THERE))
    assert users.ends == (ours, theirs)


def test_the_loop_is_closed(told: Told, calls: CallCounts) -> None:
    """As calls return, as many new ones are made, so that the same number stays outstanding."""
    users = told.users(10, calls)
    peer = Peer(users)
    users.start()
    peer.answer(3)
    assert (peer.waiting, calls.ok, calls.started) == (10, 3, 13)
    peer.send(peer.replies(10, last_first=True))
    assert (peer.waiting, calls.ok, calls.started) == (10, 13, 23)


def test_an_error_is_a_failed_call(told: Told, calls: CallCounts) -> None:
    """An RPC error is counted and kept for people, and the loop goes on."""
    users = told.users(2, calls)
    peer = Peer(users)
    users.start()
    peer.send(peer.replies(1, "first") + peer.replies(1, "second"))
    assert (calls.ok, calls.failed, peer.waiting) == (0, 2, 2)
    assert users.last_error == "second"
    peer.answer(2)
    assert (calls.ok, calls.failed, users.last_error) == (2, 2, "second")


def test_stop_waits_for_calls_in_flight(told: Told, calls: CallCounts) -> None:
    """After `stop_calling` no call is made, and the last reply is told, once."""
    users = told.users(3, calls)
    peer = Peer(users)
    users.start()
    users.stop()
    peer.answer(1)
    peer.answer(1, "broken")
    assert (told.returned, calls.started) == (0, 3)
    peer.answer(1)
    assert (told.returned, peer.waiting, calls.started) == (1, 0, 3)
    assert told.lost == []


def test_stop_with_nothing_in_flight(told: Told, calls: CallCounts) -> None:
    """Users that never called have returned at once."""
    users = told.users(3, calls)
    Peer(users)
    users.stop()
    assert told.returned == 1


def test_the_peer_ends_the_connection(told: Told, calls: CallCounts) -> None:
    """An end that was not ours is told once, without a sentence; nothing is written after it."""
    users = told.users(3, calls)
    peer = Peer(users)
    users.start()
    peer.close()
    users.hang_up()
    assert (told.lost, told.returned, calls.in_flight) == ([None], 0, 3)


def test_hang_up_is_ours(told: Told, calls: CallCounts) -> None:
    """After `hang_up` neither replies under way nor the end of the connection tell anything."""
    users = told.users(3, calls)
    peer = Peer(users)
    users.start()
    late = peer.replies(3)
    users.hang_up()
    assert peer.wire.gone
    users.dataReceived(late)
    users.connectionLost()
    assert (told.lost, told.returned, calls.ok) == ([], 0, 0)


def test_hang_up_with_nothing_in_flight_is_orderly(told: Told, calls: CallCounts) -> None:
    """A load test whose calls are all answered sees the connection end, not break."""
    users = told.users(3, calls)
    peer = Peer(users)
    users.start()
    users.stop()
    users.dataReceived(peer.replies(3))
    users.hang_up()
    assert (peer.wire.gone, peer.wire.was_reset) == (True, False)


def test_hang_up_without_a_connection(told: Told, calls: CallCounts) -> None:
    """Users that never got a connection can be told to hang up."""
    told.users(3, calls).hang_up()
    assert told.lost == []


@pytest.mark.parametrize(
    "garbage",
    [b"\xff" * 300, b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4, b"\xfc\x40\0\0\0"],
    ids=["not gob", "http", "a message of 1 GiB"],
)
def test_garbage_ends_the_connection(told: Told, calls: CallCounts, garbage: bytes) -> None:
    """A peer that breaks the protocol is dropped, and told once with a sentence."""
    users = told.users(3, calls)
    peer = Peer(users)
    users.start()
    users.dataReceived(garbage)
    assert peer.wire.was_reset
    users.dataReceived(garbage)
    users.connectionLost()
    (sentence,) = told.lost
    assert sentence
    assert told.returned == 0


def test_a_reply_nobody_waits_for(told: Told, calls: CallCounts) -> None:
    """The same reply a second time is a breach of the protocol and no further call."""
    users = told.users(1, calls)
    peer = Peer(users)
    users.start()
    reply = peer.replies(1)
    peer.send(reply)
    peer.send(reply[-8:])
    assert calls.ok == 1
    assert len(told.lost) == 1


def test_a_hundred_thousand_users(told: Told, calls: CallCounts) -> None:
    """The most users a job may have fit one connection, in both directions."""
    users = told.users(100_000, calls)
    peer = Peer(users)
    users.start()
    assert peer.waiting == 100_000
    peer.answer(100_000)
    assert (calls.ok, calls.started) == (100_000, 200_000)
    users.stop()
    peer.answer(100_000)
    assert (calls.in_flight, told.returned) == (0, 1)


@given(
    users_count=st.integers(1, 40),
    answers=st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.booleans()), max_size=12),
    cuts=st.lists(st.integers(0, 2000), max_size=8),
)
def test_chunks_do_not_matter(
    users_count: int, answers: list[tuple[int, bool, bool]], cuts: list[int]
) -> None:
    """However the replies are cut, the counts are those of the replies, and N stay outstanding."""

    def drive(send: Callable[[Peer, bytes], None]) -> tuple[CallCounts, Told]:
        told, calls = Told(), CallCounts()
        users = told.users(users_count, calls)
        peer = Peer(users)
        users.start()
        for count, broken, last_first in answers:
            count = min(count, peer.waiting)
            send(peer, peer.replies(count, "broken" if broken else None, last_first))
            assert peer.waiting == calls.in_flight == users_count
        users.stop()
        send(peer, peer.replies(peer.waiting))
        assert (calls.in_flight, told.returned, told.lost) == (0, 1, [])
        return calls, told

    def by_byte(peer: Peer, data: bytes) -> None:
        for position in range(len(data)):
            peer.send(data[position : position + 1])

    def cut(peer: Peer, data: bytes) -> None:
        edges = [0, *sorted(min(edge, len(data)) for edge in cuts), len(data)]
        for start, end in pairwise(edges):
            if start < end:
                peer.send(data[start:end])

    whole, _ = drive(Peer.send)
    assert drive(by_byte)[0] == drive(cut)[0] == whole
    assert whole.ok + whole.failed == whole.started


class Endpoint:
    """A client endpoint whose attempts end as listed; the last one for ever."""

    def __init__(self, *attempts: Callable[[Factory], Deferred[Protocol]]) -> None:
        self._attempts = list(attempts)
        self.count = 0

    def connect(self, factory: Factory) -> Deferred[Protocol]:
        self.count += 1
        attempt = self._attempts.pop(0) if len(self._attempts) > 1 else self._attempts[0]
        return attempt(factory)


def refused(factory: Factory) -> Deferred[Protocol]:
    """Fail as when nobody listens."""
    return fail(ConnectionRefused())


def accepted(factory: Factory, wire: Wire | None = None) -> Deferred[Protocol]:
    """Connect, by `wire`."""
    protocol = factory.buildProtocol(THERE)
    protocol.makeConnection(wire or Wire())
    return succeed(protocol)


def never(factory: Factory) -> Deferred[Protocol]:
    """Do not come to an end, as with packets lost; a cancel is told as endpoints tell it."""
    return Deferred(lambda attempt: attempt.errback(ConnectingCancelledError(THERE)))


def test_connect_backs_off(told: Told, calls: CallCounts) -> None:
    """While nobody listens the delays double up to a limit, and it is tried for ever."""
    clock, endpoint = Clock(), Endpoint(refused)
    connecting = connect(clock, endpoint, told.users(1, calls))
    expected = FIRST_DELAY_SECONDS
    for tried in range(1, 20):
        assert endpoint.count == tried
        (delay,) = clock.getDelayedCalls()
        assert delay.getTime() - clock.seconds() == pytest.approx(expected)
        clock.advance(delay.getTime() - clock.seconds())
        expected = min(2 * expected, LONGEST_DELAY_SECONDS)
    connecting.addErrback(lambda failure: failure.trap(CancelledError))
    connecting.cancel()
    assert clock.getDelayedCalls() == []
    assert endpoint.count == 20


def test_connect_in_the_end(told: Told, calls: CallCounts) -> None:
    """As soon as somebody listens the users are connected."""
    clock, endpoint = Clock(), Endpoint(refused, refused, accepted)
    users = told.users(1, calls)
    connecting = connect(clock, endpoint, users)
    clock.pump([0.01, 0.02])
    assert connecting.called
    assert users.connected
    assert clock.getDelayedCalls() == []


def test_connect_is_cancelled_in_an_attempt(told: Told, calls: CallCounts) -> None:
    """A cancel during an attempt ends it and makes no other."""
    clock, endpoint, failures = Clock(), Endpoint(never), list[Failure]()
    connecting = connect(clock, endpoint, told.users(1, calls))
    connecting.addErrback(failures.append)
    connecting.cancel()
    assert len(failures) == 1
    assert endpoint.count == 1
    assert clock.getDelayedCalls() == []


def test_connect_tells_what_no_patience_mends(told: Told, calls: CallCounts) -> None:
    """An address that cannot be resolved is an error at once."""
    failures: list[Failure] = []
    endpoint = Endpoint(lambda _: fail(DNSLookupError("no such host")))
    connect(Clock(), endpoint, told.users(1, calls)).addErrback(failures.append)
    assert failures[0].check(DNSLookupError)


def test_connect_passes_over_itself(told: Told, calls: CallCounts) -> None:
    """A socket that TCP connected to itself is dropped untold, and the next attempt counts."""
    clock, users = Clock(), told.users(2, calls)
    itself, good = Wire(THERE, IPv4Address("TCP", THERE.host, THERE.port)), Wire()
    endpoint = Endpoint(lambda f: accepted(f, itself), lambda f: accepted(f, good))
    connecting = connect(clock, endpoint, users)
    assert itself.gone
    assert not connecting.called
    users.connectionLost()
    clock.advance(FIRST_DELAY_SECONDS)
    assert connecting.called
    users.start()
    assert (told.lost, itself.value(), good.value() != b"") == ([], b"", True)
    users.connectionLost()
    assert told.lost == [None]


@pytest.mark.parametrize(
    ("attempt", "free"),
    [
        (refused, True),
        (lambda _: fail(ConnectError()), True),
        (accepted, False),
        (lambda f: accepted(f, Wire(THERE, THERE)), True),
    ],
    ids=["refused", "failed", "accepted", "itself"],
)
def test_is_free(attempt: Callable[[Factory], Deferred[Protocol]], free: bool) -> None:
    """The port is free when nobody answers; an answer of our own socket is nobody's."""
    told: list[bool] = []
    ensureDeferred(is_free(Endpoint(attempt))).addCallback(told.append)
    assert told == [free]


def test_is_free_leaves_no_connection() -> None:
    """The connection that shows a stranger is closed, and nothing was sent on it."""
    wire = Wire(HERE, THERE)
    ensureDeferred(is_free(Endpoint(lambda f: accepted(f, wire))))
    assert wire.gone
    assert wire.value() == b""


@given(st.integers(0, 4000), st.lists(st.integers(0, 40), max_size=20))
def test_a_socket_that_does_not_take_all(takes_bytes: int, answered: list[int]) -> None:
    """However much it takes at once, every call arrives, whole and once; 0 is a moment to send."""
    calls, told = CallCounts(), Told()
    users = told.users(40, calls)
    peer = Peer(users)
    peer.wire.takes_bytes = takes_bytes
    users.start()
    for count in answered:
        if count:
            peer.answer(count)
        else:
            peer.wire.empty()
            peer.wire.takes_bytes = takes_bytes
    assert (peer.waiting, calls.ok) == (40, sum(answered))
    assert told.lost == []


def test_one_short_send_costs_the_fast_path_only_for_a_while(told: Told, calls: CallCounts) -> None:
    """What the socket does not take is left to the transport; once it is sent, calls go at once."""
    users = told.users(40, calls)
    peer = Peer(users)
    peer.wire.takes_bytes = 100
    users.start()
    behind = peer.wire.written_bytes
    assert behind > 0
    peer.answer(5)
    assert peer.wire.written_bytes > behind
    behind = peer.wire.written_bytes
    peer.wire.empty()
    peer.answer(20)
    assert (peer.wire.written_bytes, peer.waiting) == (behind, 40)


@pytest.mark.parametrize("answered", [0, 40])
def test_hanging_up_while_calls_wait_to_be_sent(
    told: Told, calls: CallCounts, answered: int
) -> None:
    """The connection is closed as ever."""
    users = told.users(40, calls)
    peer = Peer(users)
    peer.wire.takes_bytes = 100
    users.start()
    users.stop()
    if answered:
        peer.answer(answered)
    users.hang_up()
    assert (peer.wire.gone, peer.wire.was_reset) == (True, not answered)
