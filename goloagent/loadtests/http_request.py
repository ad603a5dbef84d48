"""The request of the HTTP load test: its URL, method, headers and body, and their bytes."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit

IDEMPOTENT = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE")
_PORTS = {"http": 80, "https": 443}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
# Percent signs too: what is quoted already stays.
_PATH = "/?:@!$&'()*+,;=%-._~[]"


class InvalidRequest(ValueError):
    """A URL or option that cannot be sent, with what to change."""


class HttpRequest(NamedTuple):
    """A request.

    Attributes:
        url: as it is reported, without user, password and fragment.
        content: what is sent.
    """

    method: str
    url: str
    is_https: bool
    host: str
    port: int
    content: bytes


def build(
    url: str, method: str | None, headers: Iterable[str], data: bytes | None, agent: str
) -> HttpRequest:
    """Build a request; the method is GET, or POST with `data`, unless it is given.

    Args:
        headers: texts such as ``Accept: text/html``, which replace the usual ones.
        agent: the value of User-Agent.

    Raises:
        InvalidRequest: an argument is wrong.
    """
    parts, host, port = split(url)
    method = method or ("GET" if data is None else "POST")
    if not _TOKEN.match(method):
        raise InvalidRequest(f"--method {method}: it must be one word, such as POST")
    authority = f"[{host}]" if ":" in host else host
    if port != _PORTS[parts.scheme]:
        authority += f":{port}"
    fields = {"Host": authority, "User-Agent": agent, "Accept": "*/*"}
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        fields["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    if data is not None:
        fields["Content-Length"] = str(len(data))
    usual = {name.lower(): name for name in fields}
    lines = []
    for header in headers:
        name, value = split_header(header)
        fields.pop(usual.get(name.lower(), ""), None)
        lines.append(f"{name}: {value}")
    path = quote(parts.path or "/", safe=_PATH)
    query = f"?{quote(parts.query, safe=_PATH)}" if parts.query else ""
    lines[:0] = [f"{method} {path}{query} HTTP/1.1", *(f"{n}: {v}" for n, v in fields.items())]
    head = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")
    shown = f"{parts.scheme}://{authority}{parts.path or '/'}"
    if parts.query:
        shown += f"?{parts.query}"
    return HttpRequest(method, shown, parts.scheme == "https", host, port, head + (data or b""))


def split(url: str) -> tuple[SplitResult, str, int]:
    """Split a URL; return its parts, its host, in ASCII, and its port.

    Raises:
        InvalidRequest: it is no URL of HTTP.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        if host and not host.isascii():
            host = host.encode("idna").decode()
    except ValueError as error:  # UnicodeError too
        raise InvalidRequest(f"not a URL: {url}: {error}") from None
    if parts.scheme not in _PORTS or not host or re.search(r"[\x00-\x20\x7f]", url):
        raise InvalidRequest(f"not a URL such as http://localhost:8000/: {url}")
    return parts, host, _PORTS[parts.scheme] if port is None else port


def split_header(text: str) -> tuple[str, str]:
    """Split ``Name: value``.

    Raises:
        InvalidRequest: it cannot be sent.
    """
    name, colon, value = text.partition(":")
    if not colon or not _TOKEN.match(name) or re.search(r"[\r\n\x00]", value):
        raise InvalidRequest(f"--header {text!r}: it must be like 'Accept: text/html'")
    if name.lower() in ("content-length", "transfer-encoding"):
        raise InvalidRequest(f"--header {name}: leave it out, because --data determines it")
    return name, value.strip()
