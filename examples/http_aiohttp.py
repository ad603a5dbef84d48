#!/usr/bin/env python3
# /// script
# dependencies = ["aiohttp"]
# ///
"""A load test with aiohttp: each journey is one GET. All tasks share the open connections."""

import os
from functools import cache

import aiohttp

from goloagent.sdk import serve
from goloagent.sdk.aiohttp import ClientSession

URL = os.environ.get("TARGET", "http://127.0.0.1:8000/")


@cache
def session() -> aiohttp.ClientSession:
    """Return the session, made in the first journey; `serve` closes it. 0 is no limit."""
    return ClientSession(connector=aiohttp.TCPConnector(limit=0))


async def journey() -> None:
    """Make one request, which the session reports. A status of 400 or more fails the journey."""
    async with session().get(URL) as response:
        await response.read()
        response.raise_for_status()


if __name__ == "__main__":
    serve(journey)
