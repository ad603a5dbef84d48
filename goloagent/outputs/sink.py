"""The interface of a sink, and the response to a batch, which is classified once. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum

import attrs

_SPLIT = frozenset({400, 413, 422})
_RETRY = frozenset({408, 425, 429})


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
    """

    status: int | None = None
    error: str | None = None
    certificate: bool = False
    timed_out: bool = False
    cut: bool = False
    retry_after: float | None = None
    text: str = ""
    disposition: Disposition = attrs.field(init=False, repr=False)

    @disposition.default
    def _classify(self) -> Disposition:
        """Pause for a status that is not known, which loses nothing."""
        status = self.status
        if status is None:
            return Disposition.PAUSE if self.certificate else Disposition.RETRY
        if 200 <= status < 300:
            return Disposition.DELIVERED
        if status in _SPLIT:
            return Disposition.SPLIT
        if status in _RETRY or status >= 500:
            return Disposition.RETRY
        return Disposition.PAUSE

    def __str__(self) -> str:
        if self.status is None:
            return self.error or "no answer"
        return f"{self.status} {self.text[:200]}".strip()

    @property
    def reached(self) -> bool:
        """Whether the backend received the request, or a part of it."""
        return self.status is not None or self.timed_out or self.cut


Send = Callable[[str, str, bytes], Awaitable[Response]]
"""Sends results to one backend: the job's name, a key that identifies a repeat, and a JSON array.

It neither retries nor knows offsets. A failure is a response too; only a cancel raises.
"""
