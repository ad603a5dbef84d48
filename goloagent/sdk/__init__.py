"""The SDK for load tests in Python: `serve` runs a function, `report` prints a result.

A load test is a program that calls `serve` with a function, which is one journey of one user. The
agent calls it repeatedly, with as many concurrent calls as there are users. The function calls
`report` for each request that it makes, or uses `goloagent.sdk.requests`, `goloagent.sdk.httpx` or
`goloagent.sdk.aiohttp`, which report every request by themselves.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from inspect import iscoroutinefunction

from goloagent.sdk import journey
from goloagent.sdk.exchange import named

__all__ = ["named", "report", "serve", "split_address"]

DEFAULT_ADDRESS = "127.0.0.1:9999"


def serve(
    run: Callable[[], object] | Callable[[], Awaitable[object]], address: str | None = None
) -> None:
    """Call `run` for each call of the agent's until SIGTERM or SIGINT, then return.

    Calls are concurrent, one for each user: in at most 10,000 threads or, if `run` is a coroutine
    function, as tasks of one asyncio loop. An exception of `run` is reported to the agent, which
    counts the call as failed and continues. If `run` raises before it has reported a request, the
    exception is reported as a result too: with the name of the function as `url`, no `method`, and
    the time from the call to the exception. After the signal, running calls have five seconds to
    return. `address` is HOST:PORT; by default `GOLO_RPC_ADDR` of the environment, which the agent
    sets, else 127.0.0.1:9999. It must be called in the main thread.

    Raises:
        OSError: it cannot listen on the address.
        ValueError: it is not HOST:PORT.
    """
    # Not at the top: asyncio is slow to import, and a program that only reports does not need it.
    from goloagent.sdk import server

    host, port = split_address(address or os.environ.get("GOLO_RPC_ADDR") or DEFAULT_ADDRESS)
    name = getattr(run, "__name__", "journey")
    if iscoroutinefunction(run):

        async def task() -> None:
            with journey.journey(name):
                await run()

        server.serve(host, port, server.InTasks(task))
    else:

        def call() -> None:
            with journey.journey(name):
                run()

        server.serve(host, port, server.InThreads(call))


def report(
    *,
    method: str,
    url: str,
    status: int,
    size: int = -1,
    duration_seconds: float,
    error: object = None,
    sequence_id: str | None = None,
    timestamp: datetime | None = None,
) -> None:
    """Print the result of one request; it is written when this returns.

    Lines of different threads never mix, even on a non-blocking stdout; lines of different
    processes do not mix up to 4,096 bytes. `status` is 0 without a response; `size` is the number
    of its bytes, -1 if unknown. `error` is an exception, reported by its type and the first 4,096
    characters of its text, or any JSON value; None if there was no error.
    `sequence_id` is the same for all requests of one journey: by default, one for each call of the
    function given to `serve`. `timestamp` is when the response was complete, by default now.

    Raises:
        ValueError: a number is not finite or beyond 64 bits, the time has no zone, or the line is
            longer than 1 MiB.
        TypeError: an argument is of another type, or `error` cannot be JSON.
        OSError: stdout cannot be written; `BrokenPipeError` after the agent has closed it.
    """
    journey.current().report(
        method=method,
        url=url,
        status=status,
        size=size,
        duration_seconds=duration_seconds,
        error=error,
        sequence_id=sequence_id,
        timestamp=timestamp,
    )


def split_address(address: str) -> tuple[str, int]:
    """Split HOST:PORT; an IPv6 host has brackets.

    Raises:
        ValueError: it is not HOST:PORT.
    """
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError(f"not HOST:PORT: {address!r}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    return host, int(port)
