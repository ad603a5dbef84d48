"""Concurrent calls that share one computation, like Go's ``singleflight``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.python.failure import Failure

_Result = TypeVar("_Result")


class SingleFlight(Generic[_Result]):
    """Runs at most one computation for each key; concurrent callers get its outcome."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[Deferred[_Result]]] = {}

    def do(
        self, key: Hashable, compute: Callable[[], Coroutine[Deferred[Any], Any, _Result]]
    ) -> Deferred[_Result]:
        """Join the computation for `key`, or start it; cancelling the Deferred does not stop it."""
        waiting: Deferred[_Result] = Deferred()
        if key in self._waiting:
            self._waiting[key].append(waiting)
        else:
            self._waiting[key] = [waiting]
            ensureDeferred(compute()).addBoth(partial(self._finish, key))
        return waiting

    def _finish(self, key: Hashable, outcome: _Result | Failure) -> None:
        for waiting in self._waiting.pop(key):
            waiting.callback(outcome)  # a Failure is passed on as one
