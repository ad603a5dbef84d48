"""The interface of a sink, and the response to a batch, which is classified once. Pure."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, Protocol, TypeVar

import attrs

from goloagent.jobs.job import Job
from goloagent.outputs.labels import RunLabels

_SPLIT = frozenset({400, 413, 422})
_RETRY = frozenset({408, 425, 429})
# A byte order mark, comments and the declaration of XHTML may be first.
_is_page = re.compile(
    r"(?:\ufeff|\s|<!--(?:(?!-->).)*-->|<\?xml\b[^>]*>)*<(?:!doctype html|html|head)\b",
    re.IGNORECASE | re.DOTALL,
).match


class Disposition(Enum):
    """The meaning of a response for the batch; the values are labels of a metric."""

    DELIVERED = "taken"
    RETRY = "retry"  # the backend is down or busy
    SPLIT = "divide"  # a result in the batch is refused
    PAUSE = "hold"  # a setting is wrong: only probes are sent


@attrs.frozen
class Response:
    """The outcome of one push: a status, or the error because of which there is none.

    Args:
        certificate: TLS failed, which only an operator can repair.
        timed_out: the backend was reached, and did not respond in time.
        cut: the backend was reached, and closed the connection before it responded.
        retry_after: in seconds.
        text: the beginning of the response's body.
        body: the same as it was received.
        is_whole: the body was received to its end.
        decided: the meaning, if the sink knows it better than by the status.
    """

    status: int | None = None
    error: str | None = None
    certificate: bool = False
    timed_out: bool = False
    cut: bool = False
    retry_after: float | None = None
    text: str = ""
    body: bytes = attrs.field(default=b"", kw_only=True, repr=False, eq=False)
    is_whole: bool = attrs.field(default=True, kw_only=True, repr=False, eq=False)
    decided: Disposition | None = attrs.field(default=None, kw_only=True)
    disposition: Disposition = attrs.field(init=False, repr=False)

    @disposition.default
    def _classify(self) -> Disposition:
        """Pause for a status that is not known, which loses nothing."""
        status = self.status
        if self.decided is not None:
            return self.decided
        if status is None:
            return Disposition.PAUSE if self.certificate else Disposition.RETRY
        if 200 <= status < 300:
            return Disposition.DELIVERED
        if status in _SPLIT:
            return Disposition.SPLIT
        if status in _RETRY or status >= 500:
            return Disposition.RETRY
        return Disposition.PAUSE

    @classmethod
    def delivered(cls) -> Response:
        """Return the response for a batch that the backend has."""
        return cls(decided=Disposition.DELIVERED)

    @classmethod
    def refused(cls, sentence: str) -> Response:
        """Return the response for a batch with a result that the backend refuses."""
        return cls(error=sentence, decided=Disposition.SPLIT)

    @classmethod
    def wrong(cls, sentence: str) -> Response:
        """Return the response for a setting that only an operator can repair."""
        return cls(error=sentence, decided=Disposition.PAUSE)

    def unless_page(self) -> Response:
        """Return the response, or that of a wrong setting if a success is a web page.

        A proxy or a login page responds so to any path, and stores nothing.
        """
        if self.disposition is Disposition.DELIVERED and _is_page(self.text):
            return self.wrong(
                f"{self.status} with a web page, which no backend sends; correct the URL"
            )
        return self

    def unless_cut(self) -> Response:
        """Return the response, or that of a failure if the rest of a body says what was stored."""
        if self.disposition is Disposition.DELIVERED and not self.is_whole:
            return Response(error=f"{self.status}, and the rest of the response is lost", cut=True)
        return self

    def __str__(self) -> str:
        if self.status is None:
            return self.error or self.disposition.name.lower()
        return f"{self.status} {self.text[:200]}".strip()

    @property
    def reached(self) -> bool:
        """Whether the backend received the request, or a part of it."""
        return any((self.status is not None, self.decided, self.timed_out, self.cut))


@attrs.frozen
class BatchLimits:
    """When a batch is closed: at so many results or bytes, or seconds after its first one."""

    max_results: int = 4_096
    max_bytes: int = 1 << 20
    seconds: float = 0.5


BatchT = TypeVar("BatchT", contravariant=True)


class Sink(Protocol[BatchT]):
    """One backend, to which batches are sent. It neither retries nor knows offsets or time."""

    @property
    def url(self) -> str:
        """The address as it is shown, without secrets."""

    @property
    def limits(self) -> BatchLimits:
        """The limits of the batches that it wants."""

    async def send(self, run: RunLabels, batch: BatchT, ordinal: int) -> Response:
        """Send a batch; `ordinal` is the number of the run's results before it.

        A failure is a response too; only a cancel raises, after which nothing may change any more.
        A repeat of a batch may be shorter than the first attempt, and is never longer.
        """

    async def check(self) -> str | None:
        """Return why the backend cannot be reached, or None; sends no results."""

    async def close(self) -> None:
        """Close connections and files."""


Send = Callable[[Job, Any, int], Awaitable[Response]]
"""Sends a batch of a job to one backend, with the number of the job's results before it.

It neither retries nor knows offsets. A failure is a response too; only a cancel raises.
"""
