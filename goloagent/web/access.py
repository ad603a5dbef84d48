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

from goloagent.web.peer import address_of
from goloagent.web.problem import Problem, quoted

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

HeaderValues = Callable[[str], Sequence[str]]
"""Return all values that a request has for a header, given its name; none when it is missing."""

_HOST = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<name>[^\[\]:]+))(?::[0-9]*)?")
_OWN_SITES = frozenset({"same-origin", "none"})
# Each on a line of its own: browsers do not look for a second challenge behind a comma.
CHALLENGES = ("Bearer", 'Basic realm="golo-agent", charset="UTF-8"')


@attrs.frozen
class Access:
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
        match = _HOST.fullmatch(host)
        if match is None or self.hosts is None:
            return match is not None
        name = match["ipv6"] or match["name"]
        return name == "localhost" or name in self.hosts or _is_loopback(name)


def _check_site(header: HeaderValues) -> None:
    own_origins = {
        f"{scheme}://{host.lower()}" for scheme in ("http", "https") for host in header("Host")
    }
    if not _OWN_SITES.issuperset(header("Sec-Fetch-Site")) or not own_origins.issuperset(
        origin.lower() for origin in header("Origin")
    ):
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


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
