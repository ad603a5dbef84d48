"""The access policy: decides by the client's address and the headers, for every method alike.

With a token, its holders have access. Without one, requests of other web sites are refused: the
Host header must name this agent (against DNS rebinding) and a browser must not send a request for
another site. The latter holds for HTTP Basic, too, because browsers send a password by themselves.
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
"""Returns all values of a request's header by its name."""

_HOST = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<name>[^\[\]:]+))(?::[0-9]*)?")
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
_OWN_SITES = frozenset({"same-origin", "none"})
TOKEN_HEADER = "X-Golo-Token"
"""Has the token if a proxy, such as that of Kubernetes, keeps Authorization for itself."""
# Sent as two lines, because browsers do not parse a second challenge after a comma.
CHALLENGES = ("Bearer", 'Basic realm="golo-agent", charset="UTF-8"')


@attrs.frozen
class AccessPolicy:
    """The rules of one agent.

    Args:
        token: the required token, None if none is.
        networks: the networks of allowed clients; empty allows all.
        hosts: without a token, the allowed names in Host besides localhost and loopback addresses,
            in lower case; None allows all.
    """

    token: bytes | None = attrs.field(
        default=None, repr=False, validator=attrs.validators.optional(attrs.validators.min_len(1))
    )
    networks: tuple[Network, ...] = ()
    hosts: tuple[str, ...] | None = ()

    def check(self, peer: str | None, header: HeaderValues) -> None:
        """Check a request from the address `peer`, None for a Unix socket.

        Raises:
            Problem: 401 without a valid token, 403 if another rule forbids it.
        """
        if peer is not None and self.networks and not self._is_allowed(peer):
            raise Problem(403, f"{peer} is not allowed to connect")
        if self.token is None:
            self._check_host(header("Host"))
            _check_site(header)
            return
        scheme, secret = _credentials(header)
        if not hmac.compare_digest(secret, self.token):
            raise Problem(401, _token_required(header), {"WWW-Authenticate": CHALLENGES})
        if scheme == "basic":  # a browser adds it to requests of any site
            _check_site(header)

    def allows_status(self, peer: str | None, header: HeaderValues) -> bool:
        """Return whether a request without access may read whether the agent is ready.

        Programs on this host without a token may, such as a container's health check; not those
        with a wrong one, web pages, or clients behind a proxy.
        """
        if peer is not None and not is_loopback(peer):
            return False
        if any(header(name) for name in ("Authorization", TOKEN_HEADER, "Origin", *_FORWARDED)):
            return False
        hosts = header("Host")
        return (
            len(hosts) <= 1
            and all(_is_local(host.lower()) for host in hosts)
            and _OWN_SITES.issuperset(header("Sec-Fetch-Site"))
        )

    def _is_allowed(self, peer: str) -> bool:
        address = address_of(peer)
        return any(address in network for network in self.networks)

    def _check_host(self, hosts: Sequence[str]) -> None:
        # Only HTTP/1.0 clients, which no browser is, may omit Host.
        for host in hosts:
            if len(hosts) > 1 or not self._is_own_host(host.lower()):
                raise Problem(
                    403, f"Host {quoted(host.lower().encode())} is not a name of this agent"
                )

    def _is_own_host(self, host: str) -> bool:
        if self.hosts is None or _is_local(host):
            return True
        return _name(host) in self.hosts


def _token_required(header: HeaderValues) -> str:
    """Return the sentence for a request without the token; people with a browser need more."""
    required = "a valid bearer token is required"
    # Programs also accept text/html, as Java's client does by default.
    if any(agent.startswith("Mozilla/") for agent in header("User-Agent")):
        return f"{required}: reload the page and enter the token as password, with any user name"
    return required


def _check_site(header: HeaderValues) -> None:
    """Refuse a request that a browser sends for another site.

    `Sec-Fetch-Site`, which no page can set, takes precedence, because a proxy may change Host.
    For browsers without it, Origin decides.
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


def _credentials(header: HeaderValues) -> tuple[str, bytes]:
    """Return the scheme in lower case and the token, both empty if there is none.

    With Basic (RFC 7617), for which browsers have a dialog, the token is the password.
    """
    own, authorization = header(TOKEN_HEADER), header("Authorization")
    if own:
        return "bearer", own[0].encode("latin-1") if len(own) == 1 else b""
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
    """Return whether a Host header names localhost or a loopback address.

    It may be an IPv6 address without brackets, which golo-cli sends, and no browser.
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
