"""Whether the collector takes results, by what its pushes came to; an operator is told of changes.

A failure counts once nothing was taken for `NOTICE_SECONDS`, so that what passes at once, or is one
run's trouble alone, is no news.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from twisted.logger import Logger

from goloagent.outputs.retry import Disposition, Response, classify
from goloagent.outputs.status import HOLDING, OK, RETRYING, UNKNOWN, CollectorStatus

NOTICE_SECONDS = 10.0
REMIND_SECONDS = 600.0

Push = Callable[[str, str, bytes], Awaitable[Response]]


class Availability:
    """Follows the pushes to the collector at `url`; `pending` says how many results wait.

    Args:
        seconds: a clock that nobody sets.
        now: the time of day.
    """

    _log = Logger()

    def __init__(
        self,
        url: str,
        seconds: Callable[[], float],
        now: Callable[[], datetime],
        pending: Callable[[], int],
    ) -> None:
        self._url = url
        self._seconds = seconds
        self._now = now
        self._pending = pending
        self._state = UNKNOWN
        self._since = now()
        self._error: str | None = None
        self._taken_at: float | None = None
        self._failing_since: tuple[float, datetime] | None = None
        self._told_at = 0.0

    @property
    def status(self) -> CollectorStatus:
        """How it is now."""
        return CollectorStatus(self._url, self._state, self._pending(), self._since, self._error)

    def checked(self, error: str | None) -> None:
        """Learn whether the collector could be connected to at the start."""
        if self._state != UNKNOWN:
            return  # results have told more by now
        if error is None:
            self._become(OK, self._now())
            self._log.info("collector {url}: reachable", url=self._url)
            return
        self._error = error
        self._become(RETRYING, self._now())
        self._log.warn(
            "collector {url}: not reachable ({error}); results are kept and sent later",
            url=self._url,
            error=error,
        )

    def watched(self, push: Push) -> Push:
        """Return `push`, followed."""

        async def watched_push(name: str, key: str, body: bytes) -> Response:
            answer = await push(name, key, body)
            self._answered(answer)
            return answer

        return watched_push

    def stopped(self) -> None:
        """Tell how many results wait for the next start."""
        pending = self._pending()
        if pending:
            self._log.warn(
                "collector {url}: {pending} results are not delivered; they stay in the logs and"
                " are sent after the next start",
                url=self._url,
                pending=pending,
            )

    def _answered(self, answer: Response) -> None:
        verdict = classify(answer)
        if verdict is Disposition.DELIVERED:
            self._taken()
        elif verdict is not Disposition.SPLIT:
            self._failed(HOLDING if verdict is Disposition.PAUSE else RETRYING, str(answer))

    def _taken(self) -> None:
        self._taken_at = self._seconds()
        if self._state in (RETRYING, HOLDING):
            self._log.info("collector {url}: takes results again", url=self._url)
        self._error, self._failing_since, self._told_at = None, None, 0.0
        if self._state != OK:
            self._become(OK, self._now())

    def _failed(self, state: str, error: str) -> None:
        seconds = self._seconds()
        if self._failing_since is None:
            self._failing_since = seconds, self._now()
        if self._taken_at is not None and seconds - self._taken_at < NOTICE_SECONDS:
            return
        is_new = state != self._state or not self._told_at
        self._error = error
        if state != self._state:
            self._become(state, self._failing_since[1])
        if is_new or seconds - self._told_at >= REMIND_SECONDS:
            self._told_at = seconds
            self._log.warn(
                "collector {url}: {error}; delivery is {state}, {pending} results are kept and"
                " sent later",
                url=self._url,
                error=error,
                state=state,
                pending=self._pending(),
            )

    def _become(self, state: str, since: datetime) -> None:
        self._state, self._since = state, since
