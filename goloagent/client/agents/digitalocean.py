"""The droplets with a tag, by the API of DigitalOcean.

https://docs.digitalocean.com/reference/api/digitalocean/#tag/Droplets
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from goloagent.client.errors import ClientError
from goloagent.core.address import AddressError, HttpUrl

TOKEN = "DO_TOKEN"
# As for doctl: another base URL of the API.
URL = "DIGITALOCEAN_API_URL"
DEFAULT_URL = "https://api.digitalocean.com"
MAX_PAGES = 100
MAX_PAGE_BYTES = 16 << 20
_PER_PAGE = 200
_TIMEOUT_SECONDS = 30


class Network(msgspec.Struct):
    """An address of a droplet; `type` is ``public`` or ``private``."""

    ip_address: str
    type: str = "public"


class Networks(msgspec.Struct):
    """The addresses of a droplet."""

    v4: list[Network] = []
    v6: list[Network] = []


class Droplet(msgspec.Struct):
    """A virtual machine."""

    networks: Networks = msgspec.field(default_factory=Networks)

    def host(self) -> str | None:
        """Return its first IPv6 address, else its first public IPv4 address, else None."""
        public = [network for network in self.networks.v4 if network.type == "public"]
        candidates = [*self.networks.v6, *public, *self.networks.v4]
        return candidates[0].ip_address if candidates else None


class Pages(msgspec.Struct):
    """The links to other pages; the last page has no next one."""

    next: str | None = None


class Links(msgspec.Struct):
    """The links of a page."""

    pages: Pages = msgspec.field(default_factory=Pages)


class Page(msgspec.Struct):
    """A page of droplets."""

    droplets: list[Droplet]
    links: Links = msgspec.field(default_factory=Links)


def find(tag: str, environ: Mapping[str, str]) -> list[str]:
    """Return an address of each droplet with a tag; IPv6 without brackets.

    Raises:
        ClientError: there is no token, or the API cannot be used.
    """
    token = environ.get(TOKEN, "").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise ClientError(f"provider digitalocean: set {TOKEN} to a token that may read droplets")
    base = environ.get(URL) or DEFAULT_URL
    try:
        HttpUrl.parse(base)
    except AddressError as error:
        raise ClientError(f"{URL}: {error}; set it to a URL such as {DEFAULT_URL}") from None
    hosts: list[str] = []
    for number in range(1, MAX_PAGES + 1):
        page = _get(base, token, tag, number)
        hosts += [host for droplet in page.droplets if (host := droplet.host()) is not None]
        if page.links.pages.next is None:
            return hosts
    raise ClientError(
        f'more than {MAX_PAGES * _PER_PAGE} droplets have the tag "{tag}"; use another --tag'
    )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, which would send the token elsewhere."""

    def redirect_request(self, *args: Any) -> None:
        """Return no request."""


def _get(base: str, token: str, tag: str, number: int) -> Page:
    query = urlencode({"tag_name": tag, "per_page": _PER_PAGE, "page": number})
    url = f"{base.rstrip('/')}/v2/droplets?{query}"
    opener = urllib.request.build_opener(_NoRedirects)
    try:
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
            return msgspec.json.decode(response.read(MAX_PAGE_BYTES), type=Page)
    except urllib.error.HTTPError as error:
        hint = f"; check the token in {TOKEN}" if error.code in (401, 403) else "; try again later"
        raise ClientError(f"{base} answered {error.code} {error.reason}{hint}") from None
    except msgspec.DecodeError as error:
        raise ClientError(
            f"{base} did not answer with droplets ({error}); check {URL} and the proxy"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ClientError(
            f"cannot list droplets from {base}: {reason}; check the network"
        ) from None
