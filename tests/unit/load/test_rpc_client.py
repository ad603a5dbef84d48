"""The calls of a closed loop on one connection, and the end of that connection."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.load.peer import LOCAL, REMOTE, Peer, Reports

from goloagent.jobs.job import CallCounts
from goloagent.load.rpc_client import METHOD
from goloagent.sandbox import peer_check


def test_start_makes_one_call_per_user(reports: Reports) -> None:
    """Before `start` the client neither calls nor reads, because the peer is not verified yet."""
    client = reports.client(25)
    peer = Peer(client)
    assert (peer.outstanding, reports.calls.started) == (0, 0)
    assert peer.wire.producerState == "paused"
    reports.driver.start()
    assert (peer.outstanding, reports.calls.started, reports.calls.in_flight) == (25, 25, 25)
    assert peer.methods == {METHOD} == {"Server.Run"}
    assert peer.wire.producerState == "producing"
    assert peer.wire.no_delay


def test_the_ends_of_a_connection(reports: Reports) -> None:
    """The ends are those by which the kernel's tables list the connection, the local one first."""
    client = reports.client(1)
    Peer(client)
    local, remote = (peer_check.endpoint(end.host, end.port) for end in (LOCAL, REMOTE))
    assert client.ends == (local, remote)


def test_the_loop_is_closed(reports: Reports) -> None:
    """Each reply starts a call, so that the number of calls in flight is constant."""
    client = reports.client(10)
    peer = Peer(client)
    reports.driver.start()
    peer.reply(3)
    assert (peer.outstanding, reports.calls.ok, reports.calls.started) == (10, 3, 13)
    peer.send(peer.replies(10, last_first=True))
    assert (peer.outstanding, reports.calls.ok, reports.calls.started) == (10, 13, 23)


def test_an_error_is_a_failed_call(reports: Reports) -> None:
    """An RPC error is counted, the last one is saved, and the loop continues."""
    client = reports.client(2)
    peer = Peer(client)
    reports.driver.start()
    peer.send(peer.replies(1, "first") + peer.replies(1, "second"))
    assert (reports.calls.ok, reports.calls.failed, peer.outstanding) == (0, 2, 2)
    peer.reply(2)
    assert (reports.calls.ok, reports.calls.failed, reports.driver.last_error) == (2, 2, "second")


def test_stop_waits_for_calls_in_flight(reports: Reports) -> None:
    """After `stop` the client makes no call, and reports once that all have returned."""
    client = reports.client(3)
    peer = Peer(client)
    reports.driver.start()
    reports.driver.stop()
    peer.reply(1)
    peer.reply(1, "broken")
    assert (reports.drained, reports.calls.started) == (0, 3)
    peer.reply(1)
    assert (reports.drained, peer.outstanding, reports.calls.started) == (1, 0, 3)
    assert reports.lost == []


def test_stop_with_no_call_in_flight(reports: Reports) -> None:
    """A client that never called is drained at once."""
    client = reports.client(3)
    Peer(client)
    reports.driver.stop()
    assert reports.drained == 1


def test_the_peer_closes_the_connection(reports: Reports) -> None:
    """The loss is reported once, without a sentence, and nothing is written after it."""
    client = reports.client(3)
    peer = Peer(client)
    reports.driver.start()
    peer.close()
    client.hang_up()
    assert (reports.lost, reports.drained, reports.calls.in_flight) == ([None], 0, 3)


def test_hang_up_reports_nothing(reports: Reports) -> None:
    """After `hang_up` neither late replies nor the loss of the connection are reported."""
    client = reports.client(3)
    peer = Peer(client)
    reports.driver.start()
    late = peer.replies(3)
    client.hang_up()
    assert peer.wire.is_closed
    client.dataReceived(late)
    client.connectionLost()
    assert (reports.lost, reports.drained, reports.calls.ok) == ([], 0, 0)


def test_hang_up_without_calls_in_flight_is_orderly(reports: Reports) -> None:
    """A load test that has replied to all calls sees the connection close, not reset."""
    client = reports.client(3)
    peer = Peer(client)
    reports.driver.start()
    reports.driver.stop()
    peer.reply(3)
    client.hang_up()
    assert (peer.wire.is_closed, peer.wire.was_reset) == (True, False)


def test_hang_up_without_a_connection(reports: Reports) -> None:
    """`hang_up` does nothing before the client is connected."""
    reports.client(3).hang_up()
    assert reports.lost == []


@pytest.mark.parametrize(
    "garbage",
    [b"\xff" * 300, b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4, b"\xfc\x40\0\0\0"],
    ids=["not gob", "http", "a message of 1 GiB"],
)
def test_a_protocol_error_resets_the_connection(reports: Reports, garbage: bytes) -> None:
    """A peer that breaks the protocol is disconnected, and reported once with a sentence."""
    client = reports.client(3)
    peer = Peer(client)
    reports.driver.start()
    client.dataReceived(garbage)
    assert peer.wire.was_reset
    client.dataReceived(garbage)
    client.connectionLost()
    (sentence,) = reports.lost
    assert sentence
    assert reports.drained == 0


def test_a_repeated_reply_is_a_protocol_error(reports: Reports) -> None:
    """The second copy of a reply starts no call and ends the connection."""
    client = reports.client(1)
    peer = Peer(client)
    reports.driver.start()
    reply = peer.replies(1)
    peer.send(reply)
    peer.send(reply[-8:])
    assert reports.calls.ok == 1
    assert len(reports.lost) == 1


def test_a_hundred_thousand_users(reports: Reports) -> None:
    """The maximum number of users of a job fits one connection, in both directions."""
    client = reports.client(100_000)
    peer = Peer(client)
    reports.driver.start()
    assert peer.outstanding == 100_000
    peer.reply(100_000)
    assert (reports.calls.ok, reports.calls.started) == (100_000, 200_000)
    reports.driver.stop()
    peer.reply(100_000)
    assert (reports.calls.in_flight, reports.drained) == (0, 1)


@given(
    users=st.integers(1, 40),
    replies=st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.booleans()), max_size=12),
    cuts=st.lists(st.integers(0, 2000), max_size=8),
)
def test_chunk_boundaries_do_not_matter(
    users: int, replies: list[tuple[int, bool, bool]], cuts: list[int]
) -> None:
    """Replies whole, byte by byte or cut anywhere give the same counts and calls in flight."""

    def drive(send: Callable[[Peer, bytes], None]) -> CallCounts:
        reports = Reports()
        client = reports.client(users)
        peer = Peer(client)
        reports.driver.start()
        for count, is_error, last_first in replies:
            count = min(count, peer.outstanding)
            send(peer, peer.replies(count, "broken" if is_error else None, last_first))
            assert peer.outstanding == reports.calls.in_flight == users
        reports.driver.stop()
        send(peer, peer.replies(peer.outstanding))
        assert (reports.calls.in_flight, reports.drained, reports.lost) == (0, 1, [])
        return reports.calls

    def byte_by_byte(peer: Peer, data: bytes) -> None:
        for position in range(len(data)):
            peer.send(data[position : position + 1])

    def cut(peer: Peer, data: bytes) -> None:
        edges = [0, *sorted(min(edge, len(data)) for edge in cuts), len(data)]
        for start, end in pairwise(edges):
            if start < end:
                peer.send(data[start:end])

    whole = drive(Peer.send)
    assert drive(byte_by_byte) == drive(cut) == whole
    assert whole.ok + whole.failed == whole.started


@given(st.integers(0, 4000), st.lists(st.integers(0, 40), max_size=20))
def test_a_full_socket_loses_no_call(socket_bytes: int, replies: list[int]) -> None:
    """Every call arrives once, whatever the socket accepts; 0 replies flush the transport."""
    reports = Reports()
    client = reports.client(40)
    peer = Peer(client)
    peer.wire.socket_bytes = socket_bytes
    reports.driver.start()
    for count in replies:
        if count:
            peer.reply(count)
        else:
            peer.wire.flush()
            peer.wire.socket_bytes = socket_bytes
    assert (peer.outstanding, reports.calls.ok) == (40, sum(replies))
    assert reports.lost == []


def test_a_flushed_transport_is_bypassed_again(reports: Reports) -> None:
    """While the transport buffers, calls go through it; later they go to the socket again."""
    client = reports.client(40)
    peer = Peer(client)
    peer.wire.socket_bytes = 100
    reports.driver.start()
    buffered = peer.wire.buffered_bytes
    assert buffered > 0
    peer.reply(5)
    assert peer.wire.buffered_bytes > buffered
    buffered = peer.wire.buffered_bytes
    peer.wire.flush()
    peer.reply(20)
    assert (peer.wire.buffered_bytes, peer.outstanding) == (buffered, 40)


@pytest.mark.parametrize("replies", [0, 40])
def test_hang_up_while_the_transport_buffers(reports: Reports, replies: int) -> None:
    """The connection closes, with a reset only if calls are in flight."""
    client = reports.client(40)
    peer = Peer(client)
    peer.wire.socket_bytes = 100
    reports.driver.start()
    reports.driver.stop()
    if replies:
        peer.reply(replies)
    client.hang_up()
    assert (peer.wire.is_closed, peer.wire.was_reset) == (True, not replies)
