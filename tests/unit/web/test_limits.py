"""How many connections there may be, and how slowly a body may come: the decisions alone."""

from __future__ import annotations

import pytest

from goloagent.web.limits import Connections, Limits, Pace
from goloagent.web.peer import peer_of

LIMITS = Limits(connections=4, connections_per_peer=2)


def test_the_defaults_are_those_promised() -> None:
    """Headers in 10 s, bodies at 10 KiB/s and in 15 min, 256 connections, 32 of a peer."""
    limits = Limits()
    assert (limits.header_seconds, limits.body_seconds) == (10, 900)
    assert limits.body_bytes_per_second == 10240
    assert (limits.connections, limits.connections_per_peer) == (256, 32)


def test_one_peer_cannot_take_all() -> None:
    """One connection too many of a peer is refused, by a sentence that names it; others are not."""
    connections = Connections(LIMITS)
    assert [connections.open("a"), connections.open("a"), connections.open("b")] == [None] * 3
    assert connections.open("a") == "2 connections of a are open already"
    assert connections.open("b") is None


def test_all_peers_together_are_bounded() -> None:
    """Many peers within their own bounds stay within that of all."""
    connections = Connections(LIMITS)
    assert [connections.open(peer) for peer in "abcd"] == [None] * 4
    assert connections.open("e") == "4 connections are open already"


def test_unix_sockets_have_no_bound_of_their_own() -> None:
    """Clients of Unix sockets have no address to tell them apart: the bound of all is theirs."""
    connections = Connections(LIMITS)
    assert [connections.open("") for _ in range(4)] == [None] * 4
    assert connections.open("") is not None


def test_a_closed_connection_makes_room() -> None:
    """What is closed counts no more, for its peer and for all; no peer is remembered."""
    connections = Connections(LIMITS)
    for _ in range(10):
        assert connections.open("a") is None
        assert connections.open("a") is None
        assert connections.open("a") is not None
        connections.close("a")
        connections.close("a")
    assert not connections._by_peer


@pytest.mark.parametrize(
    ("host", "peer"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::1", "::/64"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_peer_is_what_one_host_has(host: str, peer: str) -> None:
    """An IPv6 host may take any address of its /64, so they are all one peer."""
    assert peer_of(host) == peer


def test_a_body_may_be_as_slow_as_promised() -> None:
    """At 10 KiB/s a body may take its 15 minutes, and not longer."""
    pace = Pace(Limits())
    assert [pace.look(102400 * seen) for seen in range(1, 90)] == [None] * 89
    assert pace.look(102400 * 90) == "the request body is not complete within 900 s"


def test_a_body_cannot_live_on_what_came_before() -> None:
    """What came fast at first is no credit: each ten seconds are looked at alone."""
    pace = Pace(Limits())
    assert pace.look(10**9) is None
    assert pace.look(10**9 + 102399) == "the request body comes slower than 10240 bytes/s"
