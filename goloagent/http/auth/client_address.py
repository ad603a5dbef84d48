"""A peer's address, as rules about peers take it. Does not know what the rules are."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

LOOPBACK = "loopback"
"""The one peer that all programs on this host are, whichever of its addresses they use."""


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address of a host that a socket names, without its zone.

    A socket that serves both families shows IPv4 peers as ::ffff:a.b.c.d.
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def is_loopback(host: str) -> bool:
    """Tell whether a host that a socket names is this one: 127.0.0.0/8, ::1, ::ffff:127.0.0.0."""
    return address_of(host).is_loopback


@lru_cache(maxsize=1024)
def client_key(host: str, own_host: str | None = None) -> str:
    """Return what counts as one peer: an IPv4 address, the /64 that an IPv6 host has, or this host.

    A connection from the address `own_host`, on which it was accepted, is from this host too.
    """
    address = address_of(host)
    if address.is_loopback or host == own_host:
        return LOOPBACK
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
