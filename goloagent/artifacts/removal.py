"""Removal of artifacts in a worker thread, and what the log says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from goloagent.jobs.rows import Content

_log = Logger()


def log_eviction(content: Content, ids: list[str]) -> None:
    """Log that an artifact was evicted for another."""
    _log.info(
        "binary {id} and {others} of the same content make room for another",
        id=ids[0],
        others=len(ids) - 1,
    )


def remover(in_thread: Callable[..., Deferred[Any]]) -> Callable[..., None]:
    """Return a function that runs a removal by `in_thread`, and logs what cannot be removed."""

    def remove_in_thread(function: Callable[..., None], *arguments: object) -> None:
        in_thread(function, *arguments).addErrback(
            lambda failure: _log.warn(
                "what was uploaded cannot all be removed: {error}", error=failure.value
            )
        )

    return remove_in_thread
