"""What becomes of a job, told as it happens: Server-Sent Events."""

from __future__ import annotations

import attrs
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from goloagent.http.api.endpoint import Response, endpoint
from goloagent.http.problem import not_found
from goloagent.http.server.request import Request
from goloagent.http.streaming.event_bus import JobEventBus
from goloagent.http.streaming.stream import Stream
from goloagent.jobs.database import Store
from goloagent.jobs.job import Job

STALL_SECONDS = 10.0
RETRY = b"retry: 1000\n\n"
"""How soon, in milliseconds, a browser comes again when the connection was cut."""


class Event(Struct, frozen=True):
    """One event of a stream: a job resource or its progress, as JSON in ``data``."""

    event: str
    data: str


@attrs.frozen
class EventRoutes:
    """``/jobs/<id>/events``, as `broadcast` has them."""

    store: Store
    bus: JobEventBus
    clock: IReactorTime

    @endpoint(
        "GET",
        "/jobs/<job_id>/events",
        {
            200: Response(
                "`state` events with the job resource, at first and whenever the state changes; "
                "each second while it runs a `progress` event. Ends when the job is over.",
                Event,
                "text/event-stream",
            ),
            204: Response("The job is over, and Last-Event-ID is that state.", media_type=""),
        },
        errors={404: "There is no such job."},
    )
    def get_events(self, request: Request, job_id: str) -> Deferred[None] | bytes:
        """Stream a job's events as they happen.

        The id of an event is the job's state, so that who comes again is told the last one once.
        """
        job = self.store.get(job_id)
        if job is None:
            raise not_found(request.path)
        if job.state.over and request.getHeader("Last-Event-ID") == job.state.value:
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
        return EventStream(request, self.clock, job, self.bus).begin()


class EventStream(Stream):
    """Sends a client the events of `job`.

    While more than 64 KiB wait for the client, only states are added, of which there are few.
    """

    def __init__(
        self, request: Request, clock: IReactorTime, job: Job, broadcast: JobEventBus
    ) -> None:
        super().__init__(request, clock, STALL_SECONDS)
        self._job = job
        self._broadcast = broadcast

    def begin(self) -> Deferred[None]:
        """Begin with the state in which the job is."""
        ended = super().start()
        self.write(RETRY)
        self._broadcast.subscribe(self._job, self)
        return ended

    def send_state(self, event: bytes, over: bool) -> None:
        """Send a state; the last one ends the stream."""
        self.attempt(lambda: self._send_state(event, over))

    def send_volatile(self, event: bytes) -> None:
        """Send an event, unless the client is behind."""
        if not self.paused:
            self.attempt(lambda: self.write(event))

    def _send_state(self, event: bytes, over: bool) -> None:
        self.write(event)
        if over:
            self.end()

    def release(self) -> None:
        """Listen no more."""
        self._broadcast.unsubscribe(self._job.id, self)
