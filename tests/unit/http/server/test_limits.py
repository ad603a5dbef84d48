"""The minimum rate of bodies, the discard of refused ones, and the keys of clients."""

from __future__ import annotations

import pytest

from goloagent.http.auth.client_address import client_key
from goloagent.http.server.limits import Discard, Limits, UploadRate


def test_the_defaults() -> None:
    """Headers in 10 s, bodies at 10 KiB/s and in 15 min, 256 connections, 32 per peer."""
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
def test_the_key_of_a_client(host: str, peer: str) -> None:
    """An IPv6 host counts by its /64, this host by all its loopback addresses."""
    assert client_key(host) == peer


def test_the_key_of_this_host() -> None:
    """A connection from the address on which it was accepted is from this host."""
    assert client_key("192.0.2.1", "192.0.2.1") == "loopback"
    assert client_key("192.0.2.2", "192.0.2.1") == "192.0.2.2"


def test_the_minimum_rate() -> None:
    """A body at 10 KiB/s has 15 minutes."""
    rate = UploadRate(Limits())
    assert [rate.check(102400 * seen) for seen in range(1, 90)] == [None] * 89
    assert rate.check(102400 * 90) == "the request body is not complete within 900 s"


def test_each_interval_counts_alone() -> None:
    """A fast start does not excuse a slow interval."""
    rate = UploadRate(Limits())
    assert rate.check(10**9) is None
    assert rate.check(10**9 + 102399) == "the request body comes slower than 10240 bytes/s"


def test_the_length_of_a_discard() -> None:
    """The announced length is read, or 1 GiB if it is unknown."""
    announced = Discard(Limits(), 10**10)
    assert announced.add(10**10)
    assert announced.complete
    assert not announced.add(1)
    unknown = Discard(Limits(), None)
    assert unknown.add(2**30)
    assert not unknown.complete
    assert not unknown.add(1)


def test_a_discard_ends_without_bytes() -> None:
    """An interval without bytes is the last."""
    discard = Discard(Limits(), 10**9)
    discard.add(1)
    assert discard.may_continue()
    discard.add(0)
    assert not discard.may_continue()


def test_a_discard_ends_after_a_minute() -> None:
    """There are twelve intervals of five seconds."""
    discard, intervals = Discard(Limits(), 10**30), 0
    while discard.add(10**6) and discard.may_continue():
        intervals += 1
    assert intervals == 11
