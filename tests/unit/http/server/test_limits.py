"""How slowly a body may come, and how long a refused one is read: the decisions alone."""

from __future__ import annotations

import pytest

from goloagent.http.auth.client_address import client_key
from goloagent.http.server.limits import Discard, Limits, UploadRate


def test_the_defaults_are_those_promised() -> None:
    """Headers in 10 s, bodies at 10 KiB/s and in 15 min, 256 connections, 32 of a peer."""
    limits = Limits()
    assert (limits.header_seconds, limits.body_seconds) == (10, 900)
    assert limits.body_bytes_per_second == 10240
    assert (limits.connections, limits.connections_per_peer) == (256, 32)


@pytest.mark.parametrize(
    ("host", "peer"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "loopback"),
        ("127.255.1.2", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.9", "loopback"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_peer_is_what_one_host_has(host: str, peer: str) -> None:
    """An IPv6 host may take any address of its /64, and this one any of loopback: one peer each."""
    assert client_key(host) == peer


def test_this_host_is_one_peer_by_its_other_addresses() -> None:
    """A program that reaches the agent by an outward address of its own host comes from it."""
    assert client_key("192.0.2.1", "192.0.2.1") == "loopback"
    assert client_key("192.0.2.2", "192.0.2.1") == "192.0.2.2"


def test_a_body_may_be_as_slow_as_promised() -> None:
    """At 10 KiB/s a body may take its 15 minutes, and not longer."""
    pace = UploadRate(Limits())
    assert [pace.check(102400 * seen) for seen in range(1, 90)] == [None] * 89
    assert pace.check(102400 * 90) == "the request body is not complete within 900 s"


def test_a_body_cannot_live_on_what_came_before() -> None:
    """What came fast at first is no credit: each ten seconds are looked at alone."""
    pace = UploadRate(Limits())
    assert pace.check(10**9) is None
    assert pace.check(10**9 + 102399) == "the request body comes slower than 10240 bytes/s"


def test_a_refused_body_is_discarded_to_its_end() -> None:
    """What was announced is read whatever its length, and not more; with no length 1 GiB is."""
    announced = Discard(Limits(), 10**10)
    assert announced.add(10**10)
    assert announced.complete
    assert not announced.add(1)
    unknown = Discard(Limits(), None)
    assert unknown.add(2**30)
    assert not unknown.complete
    assert not unknown.add(1)


def test_discarding_ends_when_nothing_comes() -> None:
    """A look at which nothing has come since the one before is the last."""
    discard = Discard(Limits(), 10**9)
    discard.add(1)
    assert discard.may_continue()
    discard.add(0)
    assert not discard.may_continue()


def test_discarding_ends_after_a_minute() -> None:
    """A client that sends for ever is read for a minute, twelve looks of five seconds."""
    discard, looks = Discard(Limits(), 10**30), 0
    while discard.add(10**6) and discard.may_continue():
        looks += 1
    assert looks == 11
