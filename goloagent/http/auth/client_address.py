"""Addresses of clients, normalized for access rules and limits."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

LOOPBACK = "loopback"
"""The key of all programs on this host."""


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address of a socket's peer, without its zone.

    A dual-stack socket reports IPv4 peers as ::ffff:a.b.c.d.
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def is_loopback(host: str) -> bool:
    """Return whether a socket's peer is in 127.0.0.0/8, ::1 or ::ffff:127.0.0.0/104."""
    return address_of(host).is_loopback


@lru_cache(maxsize=1024)
def client_key(host: str, own_host: str | None = None) -> str:
    """Return the key of a client for limits: an IPv4 address, an IPv6 /64, or this host.

    A connection from the address on which it was accepted, `own_host`, is from this host, too.
    """
    address = address_of(host)
    if address.is_loopback or host == own_host:
        return LOOPBACK
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
