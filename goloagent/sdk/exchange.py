"""One HTTP request of a helper, from its start to the end of the response's body."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from goloagent.sdk import journey

_name: ContextVar[str | None] = ContextVar("name", default=None)
# Logs must not have credentials, and a fragment is never sent.
_CREDENTIALS, _FRAGMENT = re.compile(r"^([\w+.-]+://)[^/?#]*@"), re.compile(r"#.*$", re.DOTALL)


@contextmanager
def named(name: str) -> Iterator[None]:
    """Report requests that start in this block with `name` as their `url`.

    It groups requests whose URLs differ, such as those with an ID: ``with named("/cart/[id]"):``.
    """
    token = _name.set(name)
    try:
        yield
    finally:
        _name.reset(token)


class Exchange:
    """A request that starts now; `end` reports it once.

    `status`, `method` and `url` may be set until then. `size` is -1 until `received` is called.
    """

    def __init__(self, method: str, url: str) -> None:
        self.method = method
        self.url = url
        self.status = 0
        self.size = -1
        self._name = _name.get()
        self._journey = journey.current()
        self._started = time.perf_counter()
        self._ended = False

    def responded(self, status: int) -> None:
        """Store the status. If the body is not read until the journey ends, that is its end."""
        self.status = status
        self.size = 0
        self._journey.open[id(self)] = self.end

    def received(self, count: int) -> None:
        """Add bytes of the body."""
        self.size += count

    def end(self, error: BaseException | None = None) -> None:
        """Report the request, unless it is reported."""
        if self._ended:
            return
        self._ended = True
        self._journey.open.pop(id(self), None)
        url = _FRAGMENT.sub("", _CREDENTIALS.sub(r"\1", self.url))
        self._journey.report(
            method=self.method,
            url=url if self._name is None else self._name,
            status=self.status,
            size=self.size,
            duration_seconds=time.perf_counter() - self._started,
            error=error,
        )
