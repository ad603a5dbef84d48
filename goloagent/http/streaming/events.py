"""The events of a job, as a stream of server-sent events."""

from __future__ import annotations

from typing import Annotated

import attrs
from msgspec import Meta, Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from goloagent.http.api.endpoint import Response, endpoint
from goloagent.http.api.timeline import Histograms
from goloagent.http.problem import not_found
from goloagent.http.server.request import Request
from goloagent.http.streaming.event_bus import JobEventBus
from goloagent.http.streaming.stream import Stream
from goloagent.jobs.database import Store
from goloagent.jobs.job import Job

STALL_SECONDS = 10.0
RETRY = b"retry: 1000\n\n"
"""The delay, in milliseconds, after which a browser reconnects."""


class EventQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The parts of events to send."""

    histograms: Annotated[
        Histograms | None,
        Meta(description="add the histograms of the last second to `progress`"),
    ] = None


class Event(Struct, frozen=True):
    """One event of a stream, with a resource as JSON in ``data``."""

    event: str
    data: str


@attrs.frozen
class EventRoutes:
    """``/jobs/<id>/events``."""

    store: Store
    bus: JobEventBus
    clock: IReactorTime

    @endpoint(
        "GET",
        "/jobs/<job_id>/events",
        {
            200: Response(
                "`state` events with the job resource, at first and whenever the state changes; "
                "each second while it runs a `progress` event; `verdict` whenever it changes; "
                "`change` for each PATCH; `limited` when the load generator becomes the limit. "
                "Ends when the job is over.",
                Event,
                "text/event-stream",
            ),
            204: Response("The job is over, and Last-Event-ID is that state.", media_type=""),
        },
        query=EventQuery,
        errors={
            400: "A query parameter is unknown or out of its bounds.",
            404: "There is no such job.",
        },
    )
    def get_events(self, request: Request, job_id: str) -> Deferred[None] | bytes:
        """Stream a job's events.

        The id of an event is the job's state, so that a client that reconnects gets the last once.
        """
        histograms = request.query(EventQuery).histograms is not None
        job = self.store.get(job_id)
        if job is None:
            raise not_found(request.path)
        if job.state.over and request.header_values("Last-Event-ID") == [job.state.value]:
            request.setResponseCode(204)
            return b""
        request.setHeader("Content-Type", "text/event-stream")
        request.setHeader("Cache-Control", "no-store")
        request.setHeader("X-Accel-Buffering", "no")
        if job.state.over:
            last = self.bus.state_event(job)
            request.setHeader("Content-Length", str(len(last)))
            return last
        if request.method == b"HEAD":
            return b""
        request.require_capacity()
        return EventStream(request, self.clock, job, self.bus, histograms).begin()


class EventStream(Stream):
    """Sends the events of `job`; drops volatile ones while the client is 64 KiB behind.

    Progress has histograms if `wants_histograms`.
    """

    def __init__(
        self,
        request: Request,
        clock: IReactorTime,
        job: Job,
        bus: JobEventBus,
        wants_histograms: bool,
    ) -> None:
        super().__init__(request, clock, STALL_SECONDS)
        self.wants_histograms = wants_histograms
        self._job = job
        self._bus = bus

    def begin(self) -> Deferred[None]:
        """Send the current state, then the events."""
        ended = super().start()
        self.write(RETRY)
        self._bus.subscribe(self._job, self)
        return ended

    def send_state(self, event: bytes, over: bool) -> None:
        """Send a state; the last one ends the response."""
        self.attempt(lambda: self._send_state(event, over))

    def send_volatile(self, event: bytes) -> None:
        """Send an event unless the client is behind."""
        if not self.paused:
            self.attempt(lambda: self.write(event))

    def _send_state(self, event: bytes, over: bool) -> None:
        self.write(event)
        if over:
            self.end()

    def release(self) -> None:
        """Unsubscribe."""
        self._bus.unsubscribe(self._job.id, self)
