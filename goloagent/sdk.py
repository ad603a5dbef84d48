"""What the author of a load test in Python imports: `serve` calls them, `report` tells of requests.

A load test is a program that calls `serve` with a function: one journey of one user. The agent
calls it again and again, as many at once as it has users; for each request that it makes, the
function calls `report`. This module refuses to know how requests are made.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import datetime, timezone
from inspect import iscoroutinefunction

DEFAULT_ADDRESS = "127.0.0.1:9999"

_STDOUT = 1
_line_by_line = threading.Lock()
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
    from goloagent import serving

    host, port = split_address(address or os.environ.get("GOLO_RPC_ADDR") or DEFAULT_ADDRESS)
    if iscoroutinefunction(run):

        async def task() -> None:
            _journey.set(os.urandom(8).hex())
            await run()

        serving.serve(host, port, serving.InTasks(task))
    else:

        def call() -> None:
            _journey.set(os.urandom(8).hex())
            run()

        serving.serve(host, port, serving.InThreads(call))


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
    """Print the result of one request; it is written when this returns, and no line tears another.

    `status` is 0 when there was no response; `size` counts its bytes, -1 is unknown. `error` is an
    exception, which is told by its text, or anything that JSON has; None when all went well.
    `sequence_id` is the same for all requests of one journey: by default, one for each call of the
    function given to `serve`. `timestamp` is when the response was complete, by default now.

    Raises:
        ValueError: the time has no zone, or a number is not finite.
        TypeError: `error` cannot be JSON.
    """
    completed = timestamp or datetime.now(timezone.utc)
    if completed.tzinfo is None:
        raise ValueError("the timestamp has no time zone")
    result = {
        "sequenceID": _journey.get() if sequence_id is None else sequence_id,
        "url": url,
        "method": method,
        "status": int(status),
        "size": int(size),
        "timestamp": completed.isoformat(timespec="microseconds"),
        "duration": round(duration_seconds * 1e9),
        "error": f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else error,
    }
    line = json.dumps(result, allow_nan=False).encode() + b"\n"
    # Not through sys.stdout: its buffer would hold lines back, and cut them where it is full.
    with _line_by_line:
        while line:
            line = line[os.write(_STDOUT, line) :]


def split_address(address: str) -> tuple[str, int]:
    """Take HOST:PORT apart; an IPv6 host stands in brackets.

    Raises:
        ValueError: it is not HOST:PORT.
    """
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError(f"not HOST:PORT: {address!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)
