"""Who may use the agent, judged by a request's headers alone and for every method alike.

With a token, whoever has it may. Without one, web pages are kept out: the Host header must name
this agent, which stops rebound DNS names, and a browser must not speak for another site; nor may it
with a password, which it sends by itself. Does not know routes, bodies or sockets.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import re
from collections.abc import Callable, Sequence

import attrs

from goloagent.http.auth.client_address import address_of, is_loopback
from goloagent.http.problem import Problem, quoted

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

HeaderValues = Callable[[str], Sequence[str]]
"""Return all values that a request has for a header, given its name; none when it is missing."""

_HOST = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<name>[^\[\]:]+))(?::[0-9]*)?")
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
_OWN_SITES = frozenset({"same-origin", "none"})
# Each on a line of its own: browsers do not look for a second challenge behind a comma.
CHALLENGES = ("Bearer", 'Basic realm="golo-agent", charset="UTF-8"')


@attrs.frozen
class AccessPolicy:
    """The rules of one agent.

    Without `networks` every peer may connect. `hosts` are the lower-case names, beside localhost
    and loopback addresses, under which clients without a token may address this agent; None is any
    name, for an agent that other hosts know by names it cannot know.
    """

    token: bytes | None = attrs.field(
        default=None, repr=False, validator=attrs.validators.optional(attrs.validators.min_len(1))
    )
    networks: tuple[Network, ...] = ()
    hosts: tuple[str, ...] | None = ()

    def check(self, peer: str | None, header: HeaderValues) -> None:
        """Let a request from the address `peer` pass; None is the peer of a Unix socket.

        Raises:
            Problem: it may not: 401 for want of the token, 403 otherwise.
        """
        if peer is not None and self.networks and not self._connects(peer):
            raise Problem(403, f"{peer} is not allowed to connect")
        if self.token is None:
            self._check_host(header("Host"))
            _check_site(header)
            return
        scheme, secret = _credentials(header("Authorization"))
        if not hmac.compare_digest(secret, self.token):
            raise Problem(401, "a valid bearer token is required", {"WWW-Authenticate": CHALLENGES})
        if scheme == "basic":  # which a browser sends with whatever any page makes it send
            _check_site(header)

    def allows_status(self, peer: str | None, header: HeaderValues) -> bool:
        """Tell whether a request that may do nothing else may ask whether the agent is ready.

        So may programs on this host, such as a container's health check, that show no token at all:
        not those with a wrong one, no web page, and nothing that a proxy passes on.
        """
        if peer is not None and not is_loopback(peer):
            return False
        if any(header(name) for name in ("Authorization", "Origin", *_FORWARDED)):
            return False
        hosts = header("Host")
        return (
            len(hosts) <= 1
            and all(_is_local(host.lower()) for host in hosts)
            and _OWN_SITES.issuperset(header("Sec-Fetch-Site"))
        )

    def _connects(self, peer: str) -> bool:
        address = address_of(peer)
        return any(address in network for network in self.networks)

    def _check_host(self, hosts: Sequence[str]) -> None:
        # Browsers always send a Host; only HTTP/1.0 programs may not.
        for host in hosts:
            if len(hosts) > 1 or not self._is_ours(host.lower()):
                raise Problem(
                    403, f"Host {quoted(host.lower().encode())} is not a name of this agent"
                )

    def _is_ours(self, host: str) -> bool:
        if self.hosts is None or _is_local(host):
            return True
        return _name(host) in self.hosts


def _check_site(header: HeaderValues) -> None:
    """Refuse what a browser sends for another site.

    `Sec-Fetch-Site`, which no page can set, decides alone: behind a proxy Host may be another than
    the one that the page was loaded from. Only browsers without it are judged by Origin.
    """
    sites = header("Sec-Fetch-Site")
    if sites:
        own = _OWN_SITES.issuperset(sites)
    else:
        origins = {
            f"{scheme}://{host.lower()}" for scheme in ("http", "https") for host in header("Host")
        }
        own = origins.issuperset(origin.lower() for origin in header("Origin"))
    if not own:
        raise Problem(403, "requests on behalf of another web site are not allowed")


def _credentials(authorization: Sequence[str]) -> tuple[str, bytes]:
    """Return the scheme, in lower case, and the token that it carries; empty where there is none.

    Basic (RFC 7617), the one scheme that browsers ask people for, carries it as the password.
    """
    if len(authorization) != 1:
        return "", b""
    scheme, _, given = authorization[0].partition(" ")
    scheme, secret = scheme.lower(), given.encode("latin-1")
    if scheme == "bearer":
        return scheme, secret
    if scheme == "basic":
        try:
            return scheme, base64.b64decode(secret, validate=True).partition(b":")[2]
        except binascii.Error:
            pass
    return "", b""


def _name(host: str) -> str | None:
    """Return the name or address in a Host header, None if it is malformed."""
    match = _HOST.fullmatch(host)
    return None if match is None else match["ipv6"] or match["name"]


def _is_local(host: str) -> bool:
    """Tell whether a Host header names localhost or a loopback address.

    Also an IPv6 address without brackets, as golo-cli sends it: no browser does, and no DNS name
    has a colon.
    """
    name = _name(host)
    if name is None:
        address, _, port = host.rpartition(":")
        return _is_loopback_address(host) or (
            port.isascii() and port.isdigit() and _is_loopback_address(address)
        )
    return name == "localhost" or _is_loopback_address(name)


def _is_loopback_address(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
