"""A peer's address, as rules about peers take it. Does not know what the rules are."""

from __future__ import annotations

import ipaddress


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address of a host that a socket names, without its zone.

    A socket that serves both families shows IPv4 peers as ::ffff:a.b.c.d.
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def peer_of(host: str) -> str:
    """Return what counts as one peer: an IPv4 address, or the /64 that an IPv6 host has."""
    address = address_of(host)
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
