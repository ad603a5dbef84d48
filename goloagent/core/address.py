"""Addresses that a client can connect to: hosts, ports and HTTP URLs, checked as text.

Parsed hosts have one form: lower case, ASCII (an international name as Punycode), an IPv6 address
without brackets.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote

import attrs
import idna

_URL = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.I)
_PORTS = {"http": 80, "https": 443}
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
# The characters of a path in RFC 3986, and percent-escapes, which are not decoded.
_PATH_CHARACTERS = "/%:@!$&'()*+,;=-._~"


class AddressError(ValueError):
    """The text is not an address that a client can connect to; the message says why."""


@attrs.frozen
class HttpUrl:
    """An ``http`` or ``https`` URL.

    Args:
        userinfo: ``user:password`` as written, without percent-decoding.
        path: percent-encoded, empty or with a leading and without a final slash.
    """

    scheme: str
    host: str
    port: int
    path: str = ""
    userinfo: str | None = attrs.field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> HttpUrl:
        """Parse a URL without query and fragment.

        Raises:
            AddressError: it is something else, or has no host or port to connect to.
        """
        if re.search(r"[\s\x00-\x1f\x7f\\]", text):
            raise AddressError("it contains a space, a backslash or a control character")
        match = _URL.fullmatch(text)
        if match is None or not match["authority"]:
            raise AddressError("not an http:// or https:// URL with a host")
        if match["rest"]:
            raise AddressError("remove the query and the fragment")
        scheme = match["scheme"].lower()
        userinfo, at, authority = match["authority"].rpartition("@")
        host, port = split(authority)
        return cls(
            scheme=scheme,
            host=parse_host(host),
            port=_PORTS[scheme] if port is None else parse_port(port),
            path=_path(match["path"]),
            userinfo=userinfo if at else None,
        )

    @property
    def authority(self) -> str:
        """The host and port for a ``Host`` header: without zone and default port."""
        host = bracketed(self.host.partition("%")[0])
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def to_uri(self) -> str:
        """Return the URL for a request line."""
        return f"{self.scheme}://{self.authority}{self.path}"

    def __str__(self) -> str:
        """Return the URL to show, without user and password."""
        zone = self.host.partition("%")[2]
        return self.to_uri().replace("]", f"%25{zone}]", 1) if zone else self.to_uri()


def split(text: str) -> tuple[str, str | None]:
    """Split ``host`` or ``host:port``; an IPv6 host has brackets and keeps them.

    Raises:
        AddressError: it is neither.
    """
    if text.startswith("["):
        match = re.fullmatch(r"(\[[^\[\]]*\])(?::(.*))?", text)
        if match is None:
            raise AddressError("write an IPv6 address and port as [::1]:8082")
        return match[1], match[2]
    host, colon, port = text.partition(":")
    if ":" in port:
        raise AddressError("write an IPv6 address in brackets, as [::1]")
    return host, port if colon else None


def parse_port(text: str) -> int:
    """Parse a port from 1 to 65535.

    Raises:
        AddressError: it is something else.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise AddressError("the port must be a number from 1 to 65535")
    return int(text)


def parse_host(text: str) -> str:
    """Parse a host name, an IPv4 address, or an IPv6 address in brackets.

    Raises:
        AddressError: it is something else, or not a unicast address.
    """
    if text.startswith("["):
        return _ipv6(text[1:-1])
    name = _ascii(text).lower()
    labels = name.removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(name)
    if not all(map(_LABEL.fullmatch, labels)) or len(name.removesuffix(".")) > 253:
        raise AddressError(
            f'"{text}" is not a host name: parts of 1 to 63 letters, digits, hyphens or '
            "underscores, separated by dots, at most 253 characters"
        )
    return name


def is_loopback(host: str) -> bool:
    """Return whether a parsed host is a loopback address or ``localhost``, without resolving it."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        name = host.removesuffix(".")
        return name == "localhost" or name.endswith(".localhost")


def is_idna(host: str) -> bool:
    """Return whether a parsed host is an address, or a name by the strict rules of IDNA 2008.

    Only these have certificates: a name with an underscore, for example, has none.
    """
    host = host.partition("%")[0].removesuffix(".")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        try:
            idna.encode(host)
        except idna.IDNAError:
            return False
    return True


def bracketed(host: str) -> str:
    """Return a parsed host for use before a colon and a port."""
    return f"[{host}]" if ":" in host else host


def _ascii(text: str) -> str:
    if text.isascii():
        return text
    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise AddressError(f'"{text}" is not an international host name') from None


def _ipv4(text: str) -> str:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise AddressError(
            f'"{text}" ends in a number: write an IPv4 address in full, such as 127.0.0.1'
        ) from None
    return _unicast(address)


def _ipv6(text: str) -> str:
    plain, percent, zone = text.partition("%")
    # RFC 6874 requires %25 for the percent sign; a plain one is accepted too.
    zone = zone.removeprefix("25")
    try:
        address = ipaddress.IPv6Address(plain)
    except ValueError:
        raise AddressError(f'"{plain}" is not an IPv6 address') from None
    if address.ipv4_mapped is not None and not percent:
        return _unicast(address.ipv4_mapped)
    if not percent:
        if address.is_link_local:
            raise AddressError(f"{plain} needs its interface: write [{plain}%25eth0]")
        return _unicast(address)
    if not address.is_link_local or not _ZONE.fullmatch(zone):
        raise AddressError("only a link-local IPv6 address has an interface, as [fe80::1%25eth0]")
    return f"{_unicast(address)}%{zone}"


def _unicast(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if address.is_unspecified:
        raise AddressError(f"{address} is every address: name one, such as 127.0.0.1 or [::1]")
    if address.is_multicast or str(address) == "255.255.255.255":
        raise AddressError(f"{address} is not the address of one host")
    return str(address)


def _path(text: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise AddressError("write a percent sign in the path as %25")
    segments: list[str] = []
    for segment in text.split("/"):
        if segment == "..":
            segments = segments[:-1]
        elif segment not in ("", "."):
            segments.append(segment)
    path = "/".join(segments)
    # Bytes of the command line that are not UTF-8 are quoted too.
    return f"/{quote(path, _PATH_CHARACTERS, errors='surrogateescape')}" if path else ""
