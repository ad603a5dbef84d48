"""Who follows which job, and what they are told: each event is made once, for however many.

In the format of Server-Sent Events (the HTML standard, section 9.2). Refuses to know time and
connections: whoever has a clock says what happens, and each listener how it writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import attrs
import msgspec

from goloagent.http.api.resources import job_resource
from goloagent.jobs.job import Job, State
from goloagent.outputs.status import DeliveryStatus

KEEPALIVE = b":\n\n"


class Subscriber(Protocol):
    """One who follows a job."""

    def send_state(self, event: bytes, over: bool) -> None:
        """The job is in another state; when it is `over`, this is the last event."""

    def send_volatile(self, event: bytes) -> None:
        """An event that may be left out: another like it comes soon."""


@attrs.define
class _Subscribers:
    """Those who follow one job, and the state they were told."""

    last_state: State
    members: list[Subscriber] = attrs.Factory(list)


class JobEventBus:
    """Tells listeners what becomes of the job that each has joined.

    `delivery` says how the delivery of a job's results goes.
    """

    def __init__(self, delivery: Callable[[Job], DeliveryStatus]) -> None:
        self._delivery = delivery
        self._subscribers: dict[str, _Subscribers] = {}

    def __len__(self) -> int:
        """How many listeners there are."""
        return sum(len(audience.members) for audience in self._subscribers.values())

    def subscribe(self, job: Job, listener: Subscriber) -> None:
        """Tell the state of a job that is not over, and from now on what becomes of it."""
        audience = self._subscribers.setdefault(job.id, _Subscribers(job.state))
        audience.members.append(listener)
        listener.send_state(self.state_event(job), over=False)

    def unsubscribe(self, job_id: str, listener: Subscriber) -> None:
        """Tell a listener nothing more; a second time does nothing."""
        audience = self._subscribers.get(job_id)
        if audience is not None and listener in audience.members:
            audience.members.remove(listener)
            if not audience.members:
                del self._subscribers[job_id]

    def publish_state(self, job: Job) -> None:
        """Tell the state of a job, if it is another one than was told."""
        audience = self._subscribers.get(job.id)
        if audience is None or audience.last_state is job.state:
            return
        audience.last_state = job.state
        event, over = self.state_event(job), job.state.over
        for listener in list(audience.members):
            listener.send_state(event, over)

    def state_event(self, job: Job) -> bytes:
        """Return the event that a job is in the state in which it is; its id is the state."""
        return event("state", job_resource(job, self._delivery(job)), job.state.value)

    def publish_progress(self, job: Job, value: Any) -> None:
        """Tell how a job goes."""
        audience = self._subscribers.get(job.id)
        if audience is not None:
            encoded = event("progress", value)
            for listener in list(audience.members):
                listener.send_volatile(encoded)

    def keep_alive(self) -> None:
        """Have every listener's connection carry something."""
        for audience in list(self._subscribers.values()):
            for listener in list(audience.members):
                listener.send_volatile(KEEPALIVE)


def event(kind: str, value: Any, event_id: str | None = None) -> bytes:
    """Return an event whose data is JSON, which has no newline."""
    head = f"event: {kind}\n" if event_id is None else f"event: {kind}\nid: {event_id}\n"
    return b"%bdata: %b\n\n" % (head.encode(), msgspec.json.encode(value))
