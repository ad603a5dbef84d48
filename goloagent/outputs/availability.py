"""The availability of one output, from the responses to pushes; changes are logged.

A failure counts only if nothing was delivered for `NOTICE_SECONDS`, so short failures and those of
one run are not logged.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from twisted.logger import Logger

from goloagent.jobs.job import Job
from goloagent.outputs.sink import Disposition, Response, Send
from goloagent.outputs.status import HOLDING, OK, RETRYING, UNKNOWN, CollectorStatus

NOTICE_SECONDS = 10.0
REMIND_SECONDS = 600.0


class Availability:
    """Observes the pushes to the backend at `url`; `label` names it in log lines.

    Args:
        seconds: the monotonic time.
        now: the time of day.
        pending: returns the number of pending results.
    """

    _log = Logger()

    def __init__(
        self,
        label: str,
        url: str,
        seconds: Callable[[], float],
        now: Callable[[], datetime],
        pending: Callable[[], int],
    ) -> None:
        self._label = label
        self._url = url
        self._seconds = seconds
        self._now = now
        self._pending = pending
        self._state = UNKNOWN
        self._since = now()
        self._error: str | None = None
        self._delivered_at: float | None = None
        self._failing_since: tuple[float, datetime] | None = None
        self._logged_at = 0.0

    @property
    def label(self) -> str:
        """The name in log lines."""
        return self._label

    @property
    def status(self) -> CollectorStatus:
        """The present state."""
        return CollectorStatus(self._url, self._state, self._pending(), self._since, self._error)

    def checked(self, error: str | None) -> None:
        """Handle the outcome of the connection at the start."""
        if self._state != UNKNOWN:
            return  # a push has a newer outcome
        if error is None:
            self._set_state(OK, self._now())
            self._log.info("{label}: reachable", label=self._label)
            return
        self._error = error
        self._set_state(RETRYING, self._now())
        self._log.warn(
            "{label}: not reachable ({error}); results are stored and sent later",
            label=self._label,
            error=error,
        )

    def observed(self, send: Send) -> Send:
        """Return a function that sends with `send` and observes the response."""

        async def observed_send(job: Job, batch: Any, ordinal: int) -> Response:
            response = await send(job, batch, ordinal)
            self._observe(response)
            return response

        return observed_send

    def stopped(self) -> None:
        """Log how many results wait for the next start."""
        pending = self._pending()
        if pending:
            self._log.warn(
                "{label}: {pending} results are not delivered; they stay in the logs and"
                " are sent after the next start",
                label=self._label,
                pending=pending,
            )

    def _observe(self, response: Response) -> None:
        if response.disposition is Disposition.DELIVERED:
            self._delivered()
        elif response.disposition is Disposition.PAUSE:
            self._failed(HOLDING, str(response))
        elif response.disposition is Disposition.RETRY:
            self._failed(RETRYING, str(response))

    def _delivered(self) -> None:
        self._delivered_at = self._seconds()
        if self._state in (RETRYING, HOLDING):
            self._log.info("{label}: takes results again", label=self._label)
        self._error, self._failing_since, self._logged_at = None, None, 0.0
        if self._state != OK:
            self._set_state(OK, self._now())

    def _failed(self, state: str, error: str) -> None:
        seconds = self._seconds()
        if self._failing_since is None:
            self._failing_since = seconds, self._now()
        if self._delivered_at is not None and seconds - self._delivered_at < NOTICE_SECONDS:
            return
        is_new = state != self._state or not self._logged_at
        self._error = error
        if state != self._state:
            self._set_state(state, self._failing_since[1])
        if is_new or seconds - self._logged_at >= REMIND_SECONDS:
            self._logged_at = seconds
            self._log.warn(
                "{label}: {error}; delivery is {state}, {pending} results are stored and"
                " sent later",
                label=self._label,
                error=error,
                state=state,
                pending=self._pending(),
            )

    def _set_state(self, state: str, since: datetime) -> None:
        self._state, self._since = state, since
