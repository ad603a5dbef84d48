#!/usr/bin/env python3
"""A load test in which each journey of a user is one GET. Each thread keeps its connection open."""

import http.client
import os
import threading
import time
from urllib.parse import urlsplit

from goloagent.sdk import report, serve

URL = os.environ.get("TARGET", "http://127.0.0.1:8000/")

target = urlsplit(URL)
https = target.scheme == "https"
Connection = http.client.HTTPSConnection if https else http.client.HTTPConnection
mine = threading.local()


def run() -> None:
    """Make one request and report it. A failed request is reported too, and fails the call."""
    if not hasattr(mine, "connection"):
        mine.connection = Connection(target.netloc, timeout=30)
    status, size, error = 0, -1, None
    start = time.perf_counter()
    try:
        mine.connection.request("GET", f"{target.path or '/'}?{target.query}".rstrip("?"))
        response = mine.connection.getresponse()
        status, size = response.status, len(response.read())
    except (OSError, http.client.HTTPException) as failure:
        # The next request opens a new connection.
        mine.connection.close()
        error = failure
    seconds = time.perf_counter() - start
    report(method="GET", url=URL, status=status, size=size, duration_seconds=seconds, error=error)
    if error is not None:
        raise error
    if status >= 400:
        raise RuntimeError(f"GET {URL}: status {status}")


if __name__ == "__main__":
    serve(run)
