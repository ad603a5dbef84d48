"""The load test of ``golo run URL``: each journey makes one request and counts its response.

Connections stay open, and there is one for each concurrent request. Redirects are not followed.
"""

from __future__ import annotations

import argparse
import os
import socket
import ssl
import sys
import time
from pathlib import Path

from goloagent import VERSION, sdk
from goloagent.loadtests import http_request
from goloagent.loadtests.http_client import HttpClient, RequestFailed, Target

_DEFAULT_TIMEOUT_SECONDS = 20.0
_USAGE_ERROR = 2


class Journeys:
    """The journeys, each of which makes one request and reports it."""

    def __init__(self, client: HttpClient, method: str, url: str) -> None:
        self._client = client
        self._method = method
        self._url = url

    async def run(self) -> None:
        """Run one."""
        start = time.perf_counter()
        status, size, error = 0, -1, "the load test ended before the response"
        try:
            response = await self._client.send()
            status, size, error = response.status, response.size, ""
        except RequestFailed as failure:
            error = str(failure)
        finally:
            sdk.report(
                method=self._method,
                url=self._url,
                status=status,
                size=size,
                duration_seconds=time.perf_counter() - start,
                error=error or None,
            )


def parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    parser = argparse.ArgumentParser(
        prog="http_get",
        description="Make one HTTP/1.1 request for each iteration, on persistent connections. "
        "Redirects are not followed: a response of 301 or 302 is the result.",
    )
    parser.add_argument("url", metavar="URL", help="such as http://localhost:8000/")
    parser.add_argument("--method", metavar="NAME", help="default: GET, or POST with --data")
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="send this header; may be repeated",
    )
    parser.add_argument(
        "--data", metavar="TEXT", help="send this body; @FILE sends the content of a file"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=_DEFAULT_TIMEOUT_SECONDS,
        metavar="SECONDS",
        help="for a request with its response (default: %(default)g)",
    )
    parser.add_argument(
        "--insecure", action="store_true", help="accept a certificate that does not verify"
    )
    return parser


def journeys(options: argparse.Namespace) -> Journeys:
    """Return the journeys for parsed options.

    Raises:
        InvalidRequest: an option is wrong.
        OSError: a file cannot be read, or the host has no address.
    """
    if not 0 < options.timeout < float("inf"):
        raise http_request.InvalidRequest(f"--timeout {options.timeout:g}: must be over 0 seconds")
    request = http_request.build(
        options.url,
        options.method,
        options.header,
        read_data(options.data),
        f"golo-agent/{VERSION}",
    )
    target = Target(
        addresses(request.host, request.port),
        tls_context(options.insecure) if request.is_https else None,
        request.host,
    )
    client = HttpClient(
        target,
        request.content,
        expects_body=request.method != "HEAD",
        may_repeat=request.method in http_request.IDEMPOTENT,
        timeout_seconds=options.timeout,
    )
    return Journeys(client, request.method, request.url)


def read_data(text: str | None) -> bytes | None:
    """Return the body that ``--data`` names."""
    if text is None:
        return None
    if text.startswith("@"):
        return Path(text[1:]).read_bytes()
    return os.fsencode(text)


def addresses(host: str, port: int) -> list[tuple[str, int]]:
    """Return the addresses of a host, once each.

    Raises:
        OSError: it has none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        text = error.strerror if isinstance(error, OSError) else error
        raise OSError(f"no address of {host}: {text}") from None
    return list(dict.fromkeys((str(one[4][0]), port) for one in found))


def tls_context(is_insecure: bool) -> ssl.SSLContext:
    """Return the settings of TLS."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if is_insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def main() -> None:
    """Serve until SIGTERM."""
    try:
        run = journeys(parser().parse_args()).run
    except (http_request.InvalidRequest, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(_USAGE_ERROR)
    sdk.serve(run)
