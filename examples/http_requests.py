#!/usr/bin/env python3
# /// script
# dependencies = ["requests"]
# ///
"""A load test with requests: each journey is one GET. Each thread keeps its connection open."""

import os
import threading

from goloagent.sdk import serve
from goloagent.sdk.requests import Session

URL = os.environ.get("TARGET", "http://127.0.0.1:8000/")


class Thread(threading.local):
    """Values of one thread, because threads cannot share a session."""

    def __init__(self) -> None:
        self.session = Session()


thread = Thread()


def journey() -> None:
    """Make one request, which the session reports. A status of 400 or more fails the journey."""
    thread.session.get(URL, timeout=30).raise_for_status()


if __name__ == "__main__":
    serve(journey)
