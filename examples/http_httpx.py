#!/usr/bin/env python3
# /// script
# dependencies = ["httpx"]
# ///
"""A load test with httpx: each journey is one GET. All threads share the open connections."""

import os

from httpx import Limits

from goloagent.sdk import serve
from goloagent.sdk.httpx import Client

URL = os.environ.get("TARGET", "http://127.0.0.1:8000/")

# As many connections as users; httpx keeps 20 by default.
client = Client(timeout=30, limits=Limits(max_connections=None, max_keepalive_connections=None))


def journey() -> None:
    """Make one request, which the client reports. A status of 400 or more fails the journey."""
    client.get(URL).raise_for_status()


if __name__ == "__main__":
    serve(journey)
