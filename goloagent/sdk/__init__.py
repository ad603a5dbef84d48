"""What the author of a load test in Python imports: `serve` calls them, `report` tells of requests.

A load test is a program that calls `serve` with a function: one journey of one user. The agent
calls it again and again, as many at once as it has users; for each request that it makes, the
function calls `report`. This module refuses to know how requests are made.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import datetime, timezone
from inspect import iscoroutinefunction

from goloagent.sdk import reporting

DEFAULT_ADDRESS = "127.0.0.1:9999"

# Not sys.stdout: its buffer would delay lines, and split them where it is full.
_stdout = reporting.LineWriter(1)
_journey: ContextVar[str] = ContextVar("journey", default="")


def serve(
    run: Callable[[], object] | Callable[[], Awaitable[object]], address: str | None = None
) -> None:
    """Call `run` for each call of the agent's until SIGTERM or SIGINT, then return.

    As many run at once as there are users: in threads of their own, reused, at most 10,000; or,
    when `run` is a coroutine function, as tasks of one asyncio loop. What `run` raises is told to
    the agent, which counts the call as failed and goes on. At the signal, calls under way have five
    seconds to return. `address` is HOST:PORT; by default `GOLO_RPC_ADDR` of the environment, where
    the agent says what it expects, else 127.0.0.1:9999. It must be called in the main thread.

    Raises:
        OSError: the address cannot be listened on.
        ValueError: it is not HOST:PORT.
    """
    # Not at the top: asyncio is slow to import, and a program that only reports needs none of it.
    from goloagent.sdk import server

    host, port = split_address(address or os.environ.get("GOLO_RPC_ADDR") or DEFAULT_ADDRESS)
    if iscoroutinefunction(run):

        async def task() -> None:
            _journey.set(os.urandom(8).hex())
            await run()

        server.serve(host, port, server.InTasks(task))
    else:

        def call() -> None:
            _journey.set(os.urandom(8).hex())
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

    Lines of different threads never mix, also on a stdout that is non-blocking; lines of different
    processes stay whole up to 4,096 bytes. `status` is 0 if there was no response; `size` is the
    number of its bytes, -1 if unknown. `error` is an exception, reported by its type and the first
    4,096 characters of its text, or anything that JSON has; None if there was no error.
    `sequence_id` is the same for all requests of one journey: by default, one for each call of the
    function given to `serve`. `timestamp` is when the response was complete, by default now.

    Raises:
        ValueError: a number is not finite or beyond 64 bits, the time has no zone, or the line is
            longer than 1 MiB.
        TypeError: an argument is of another type, or `error` cannot be JSON.
        OSError: stdout takes no more; it is `BrokenPipeError` after the agent has closed it.
    """
    _stdout.write(
        reporting.result_line(
            method=method,
            url=url,
            status=status,
            size=size,
            duration_seconds=duration_seconds,
            error=error,
            sequence_id=_journey.get() if sequence_id is None else sequence_id,
            timestamp=datetime.now(timezone.utc) if timestamp is None else timestamp,
        )
    )


def split_address(address: str) -> tuple[str, int]:
    """Take HOST:PORT apart; an IPv6 host stands in brackets.

    Raises:
        ValueError: it is not HOST:PORT.
    """
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError(f"not HOST:PORT: {address!r}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    return host, int(port)
