"""Upload a file repeatedly; print a line for each response: status and body, or "error: ".

Usage: uploader.py httpclient|urllib URL FILE length|chunked TRIES [HEADER...]
"""

from __future__ import annotations

import http.client
import io
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

BLOCK_BYTES = 65536


def by_http_client(url: str, body: bytes, chunked: bool, headers: dict[str, str]) -> str:
    """Send everything, then read."""
    parts = urllib.parse.urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=60, context=ssl._create_unverified_context()
        )
    data = _blocks(body) if chunked else body
    connection.request("POST", parts.path, data, headers, encode_chunked=chunked)
    answer = connection.getresponse()
    return f"{answer.status} {answer.read().decode().strip()}"


def by_urllib(url: str, body: bytes, chunked: bool, headers: dict[str, str]) -> str:
    """Use the library's upload."""
    data = _blocks(body) if chunked else io.BytesIO(body)
    if not chunked:
        headers = {**headers, "Content-Length": str(len(body))}
    request = urllib.request.Request(url, data, headers, method="POST")
    context = ssl._create_unverified_context()
    try:
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            return f"{answer.status} {answer.read().decode().strip()}"
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode().strip()}"


def _blocks(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), BLOCK_BYTES):
        yield body[start : start + BLOCK_BYTES]


def main() -> None:
    """Upload as often as requested."""
    library, url, file, mode, tries, *lines = sys.argv[1:]
    upload = {"httpclient": by_http_client, "urllib": by_urllib}[library]
    body = Path(file).read_bytes()
    headers = dict(line.split(": ", 1) for line in lines)
    if mode == "chunked" and library == "httpclient":
        headers["Transfer-Encoding"] = "chunked"
    for _ in range(int(tries)):
        try:
            print(upload(url, body, mode == "chunked", headers))
        except OSError as error:
            print(f"error: {error}")


if __name__ == "__main__":
    main()
