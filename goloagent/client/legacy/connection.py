"""One request on a connection of its own, with the exact bytes and errors of Go's net/http."""

from __future__ import annotations

import http.client
import json
import select
import socket
from collections.abc import Mapping, Sequence

import attrs

from goloagent.client.legacy.errors import LegacyError, system_text
from goloagent.core.address import HttpUrl, bracketed
from goloagent.transport import proxy
from goloagent.transport.proxy import Proxy, ProxySettingError

DIAL_SECONDS = 30
MAX_BODY_BYTES = 1 << 20


@attrs.frozen
class Response:
    """A response; at most `MAX_BODY_BYTES` of its body."""

    status: int
    reason: str
    body: bytes
    is_gzip: bool


def exchange(
    host: str,
    port: int,
    path: str,
    headers: Mapping[str, bytes],
    body: Sequence[bytes],
    environ: Mapping[str, str],
) -> Response:
    """Send a POST and return its response.

    Args:
        headers: those that stand after Content-Length.
        body: its parts.

    Raises:
        LegacyError: there is no connection or no response.
    """
    url = f"http://{host}:{port}{path}"
    if not host.isprintable() or " " in host:
        raise LegacyError(f"parse {json.dumps(url)}: invalid character in host name")
    try:
        via = proxy.find(HttpUrl("http", _dialed(host), port), environ)
        if via is None:
            connection = _dial(_dialed(host), port)
        else:
            connection = _dial(via.url.host, via.url.port, "proxyconnect tcp: ")
        with connection:
            head = request_head(f"{host}:{port}", path if via is None else url, headers, body, via)
            return _exchange(connection, [head, *body])
    except (ProxySettingError, LegacyError) as error:
        raise LegacyError(f'Post "{url}": {error}') from None


def request_head(
    host: str, target: str, headers: Mapping[str, bytes], body: Sequence[bytes], via: Proxy | None
) -> bytes:
    """Return the request line and the headers, in Go's order."""
    fields = {
        "Host": host.encode("utf-8", "surrogateescape"),
        "User-Agent": b"Go-http-client/1.1",
        "Content-Length": b"%d" % sum(map(len, body)),
        **headers,
        "Accept-Encoding": b"gzip",
    }
    if via is not None and via.authorization is not None:
        fields["Proxy-Authorization"] = via.authorization.encode()
    line = f"POST {target} HTTP/1.1\r\n".encode("utf-8", "surrogateescape")
    return line + b"".join(b"%s: %s\r\n" % (k.encode(), v) for k, v in fields.items()) + b"\r\n"


def _dialed(host: str) -> str:
    """Return the host to connect to; Go connects to this machine for an empty one."""
    return host.removeprefix("[").removesuffix("]") or "localhost"


def _dial(host: str, port: int, prefix: str = "") -> socket.socket:
    """Connect to the first address that accepts; the error is that of the first address."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise LegacyError(f"{prefix}dial tcp: lookup {host}: no such host") from None
    first: LegacyError | None = None
    for family, kind, protocol, _, address in found:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(DIAL_SECONDS)
            connection.connect(address)
            connection.settimeout(None)
        except OSError as error:
            connection.close()
            reason = (
                "i/o timeout"
                if isinstance(error, TimeoutError)
                else f"connect: {system_text(error)}"
            )
            where = f"{bracketed(str(address[0]))}:{port}"
            first = first or LegacyError(f"{prefix}dial tcp {where}: {reason}")
        else:
            return connection
    assert first is not None  # getaddrinfo has at least one result
    raise first


def _exchange(connection: socket.socket, parts: Sequence[bytes]) -> Response:
    """Send the bytes and read the response, which may come before all are sent."""
    failure: OSError | None = None
    try:
        _send(connection, parts)
    except OSError as error:
        failure = error
    response = http.client.HTTPResponse(connection, method="POST")
    try:
        response.begin()
        body = response.read(MAX_BODY_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise LegacyError(_broken(failure or error)) from None
    finally:
        response.close()
    encoding = response.headers.get("Content-Encoding", "")
    return Response(response.status, response.reason, body, encoding.lower() == "gzip")


def _send(connection: socket.socket, parts: Sequence[bytes]) -> None:
    """Send the parts, or as many of their bytes as there are before a response."""
    poll = select.poll()
    poll.register(connection, select.POLLIN | select.POLLOUT)
    for part in parts:
        left = memoryview(part)
        while left:
            [(_, events)] = poll.poll()
            if events & select.POLLIN:
                return
            left = left[connection.send(left, socket.MSG_DONTWAIT) :]


def _broken(error: OSError | http.client.HTTPException) -> str:
    """Return Go's text of a connection that broke."""
    if isinstance(error, http.client.RemoteDisconnected):
        return "EOF"
    if isinstance(error, http.client.IncompleteRead):
        return "unexpected EOF"
    if isinstance(error, http.client.HTTPException):
        return (
            "net/http: HTTP/1.x transport connection broken: malformed HTTP response "
            f"{json.dumps(str(error).strip())}"
        )
    operation = "write" if isinstance(error, BrokenPipeError) else "read"
    return f"{operation} tcp: {operation}: {system_text(error)}"
