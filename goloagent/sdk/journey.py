"""The journey under way: one call of the function that is given to `serve`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Callable

from goloagent.sdk import reporting

# Not sys.stdout, whose buffer would delay and split lines.
STDOUT = reporting.LineWriter(1)


class Journey:
    """One journey; its `id` is the `sequenceID` of its results.

    `reported` is whether it has a result. `open` has a function for each request whose response is
    not complete, which reports it.
    """

    def __init__(self, identity: str = "") -> None:
        self.id = identity
        self.reported = False
        self.open: dict[int, Callable[[], None]] = {}

    def report(
        self,
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
        """Print the result of a request of this journey; see `goloagent.sdk.report`."""
        STDOUT.write(
            reporting.result_line(
                method=method,
                url=url,
                status=status,
                size=size,
                duration_seconds=duration_seconds,
                error=error,
                sequence_id=self.id if sequence_id is None else sequence_id,
                timestamp=datetime.now(timezone.utc) if timestamp is None else timestamp,
            )
        )
        self.reported = True

    def end(self, name: str, started: float, error: BaseException | None) -> None:
        """Report the requests that are still open, and the error if nothing was reported.

        Args:
            name: what stands for the URL.
            started: by `time.perf_counter`.
        """
        for report in list(self.open.values()):
            report()
        if error is None or self.reported:
            return
        # Without stdout, the exception still reaches the agent with the call.
        with suppress(OSError):
            self.report(
                method="",
                url=name,
                status=0,
                duration_seconds=time.perf_counter() - started,
                error=error,
            )


_current: ContextVar[Journey | None] = ContextVar("journey", default=None)


def current() -> Journey:
    """Return the journey under way, or one without an ID outside of all."""
    journey = _current.get()
    return Journey() if journey is None else journey


@contextmanager
def journey(name: str) -> Iterator[None]:
    """Make one in this thread or task; at its end, report what nothing else has reported."""
    this = Journey(os.urandom(8).hex())
    _current.set(this)
    started = time.perf_counter()
    try:
        yield
    except BaseException as error:
        this.end(name, started, error)
        raise
    this.end(name, started, None)
