"""The proxy for a URL from the environment, by the rules of Go's net/http. Pure.

``HTTP_PROXY`` is for http URLs, ``HTTPS_PROXY`` for https; ``NO_PROXY`` lists hosts without one.
Each may be in lower case. ``localhost`` and loopback addresses never use a proxy.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

import attrs

from goloagent.core.address import (
    AddressError,
    HttpUrl,
    is_idna,
    is_loopback,
    parse_host,
    split,
)


class ProxySettingError(Exception):
    """The environment has an invalid proxy; the message says what to change."""


@attrs.frozen
class Proxy:
    """A proxy, and the variable that names it."""

    url: HttpUrl
    variable: str

    @property
    def authorization(self) -> str | None:
        """The value of ``Proxy-Authorization`` for the user and password in the URL."""
        if self.url.userinfo is None:
            return None
        user, _, password = self.url.userinfo.partition(":")
        both = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
        return f"Basic {base64.b64encode(both).decode('ascii')}"


def find(url: HttpUrl, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for `url`, or None.

    Raises:
        ProxySettingError: its variable has no valid URL.
    """
    variable, text = _variable(f"{url.scheme.upper()}_PROXY", environ)
    if not text or is_loopback(url.host):
        return None
    _, excluded = _variable("NO_PROXY", environ)
    if any(_excludes(entry.strip().lower(), url) for entry in excluded.split(",")):
        return None
    hint = f"correct or unset it, or list {url.host} in NO_PROXY"
    if "://" in text and not text.lower().startswith(("http://", "https://")):
        raise ProxySettingError(
            f"{variable}: only http:// and https:// proxies are supported; {hint}"
        )
    try:
        proxy = HttpUrl.parse(text if "://" in text else f"http://{text}")
    except AddressError as error:
        raise ProxySettingError(f"{variable}: {error}; {hint}") from None
    if proxy.scheme == "https" and not is_idna(proxy.host):
        raise ProxySettingError(f"{variable}: no certificate can be for {proxy.host}; {hint}")
    return Proxy(proxy, variable)


def _variable(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    for spelling in (name, name.lower()):
        if environ.get(spelling):
            return spelling, environ[spelling].strip()
    return name, ""


def _excludes(entry: str, url: HttpUrl) -> bool:
    """Return whether an entry of ``NO_PROXY`` names the host of `url`."""
    host = url.host.partition("%")[0].removesuffix(".")
    if not entry:
        return False
    if entry == "*":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass
    else:
        return address is not None and address in network
    try:
        name, port = split(entry)
    except AddressError:
        return False
    if port is not None and port != str(url.port):
        return False
    if address is not None:
        return name.removeprefix("[").removesuffix("]") == host
    name = name.removeprefix("*")
    with_itself = not name.startswith(".")
    try:
        name = parse_host(name.removeprefix(".")).removesuffix(".")
    except AddressError:
        return False
    return host.endswith(f".{name}") or (with_itself and host == name)
