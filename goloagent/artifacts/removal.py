"""Removal of artifacts in a worker thread, and its log lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from goloagent.jobs.rows import Content

_log = Logger()


def log_eviction(content: Content, ids: list[str]) -> None:
    """Log that a content was evicted, with the ids it had."""
    _log.info(
        "evicted binary {binary} and {others} others with its content, because of --max-binaries",
        binary=ids[0],
        others=len(ids) - 1,
    )


def remover(in_thread: Callable[..., Deferred[Any]]) -> Callable[..., None]:
    """Return a function that runs a removal by `in_thread` and logs its failure."""

    def remove_in_thread(function: Callable[..., None], *arguments: object) -> None:
        in_thread(function, *arguments).addErrback(
            lambda failure: _log.warn(
                "cannot remove all files of binaries: {error}", error=failure.value
            )
        )

    return remove_in_thread
