"""Publishes the events of jobs to subscribers.

Each event is encoded once, as a server-sent event (the HTML standard, section 9.2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import attrs
import msgspec

from goloagent.http.api.resources import job_resource
from goloagent.jobs.job import Job, State
from goloagent.outputs.status import JobDelivery

KEEPALIVE = b":\n\n"
KEEPALIVE_SECONDS = 15.0


class Subscriber(Protocol):
    """A receiver of a job's events.

    Attributes:
        wants_histograms: whether progress has the histograms of the last second.
    """

    wants_histograms: bool

    def send_state(self, event: bytes, over: bool) -> None:
        """Send an event that must arrive; if the job is `over`, this is the last event."""

    def send_volatile(self, event: bytes) -> None:
        """Send an event that may be dropped, because another follows soon."""


@attrs.define
class _Subscribers:
    """The subscribers of one job, and the last published state."""

    last_state: State
    members: list[Subscriber] = attrs.Factory(list)


class JobEventBus:
    """Publishes events; `delivery` returns the delivery status of a job's results."""

    def __init__(self, delivery: Callable[[Job], JobDelivery]) -> None:
        self._delivery = delivery
        self._subscribers: dict[str, _Subscribers] = {}

    def __len__(self) -> int:
        """Return the number of subscribers."""
        return sum(len(subscribers.members) for subscribers in self._subscribers.values())

    def subscribe(self, job: Job, subscriber: Subscriber) -> None:
        """Send the state of a job that is not over, then its events."""
        subscribers = self._subscribers.setdefault(job.id, _Subscribers(job.state))
        subscribers.members.append(subscriber)
        subscriber.send_state(self.state_event(job), over=False)

    def unsubscribe(self, job_id: str, subscriber: Subscriber) -> None:
        """Send no further events; a second time does nothing."""
        subscribers = self._subscribers.get(job_id)
        if subscribers is not None and subscriber in subscribers.members:
            subscribers.members.remove(subscriber)
            if not subscribers.members:
                del self._subscribers[job_id]

    def publish_state(self, job: Job) -> None:
        """Publish the state of a job if it has changed."""
        subscribers = self._subscribers.get(job.id)
        if subscribers is None or subscribers.last_state is job.state:
            return
        subscribers.last_state = job.state
        event, over = self.state_event(job), job.state.over
        for subscriber in list(subscribers.members):
            subscriber.send_state(event, over)

    def state_event(self, job: Job) -> bytes:
        """Return the event of a job's state, whose id is the state."""
        return event("state", job_resource(job, self._delivery(job)), job.state.value)

    def publish_progress(self, job: Job, value: Any, detailed: Callable[[], Any]) -> None:
        """Publish the progress of a job; `detailed` returns the one with histograms."""
        subscribers = self._subscribers.get(job.id)
        encoded: dict[bool, bytes] = {}
        for subscriber in [] if subscribers is None else list(subscribers.members):
            wants = subscriber.wants_histograms
            if wants not in encoded:
                encoded[wants] = event("progress", detailed() if wants else value)
            subscriber.send_volatile(encoded[wants])

    def publish(self, job: Job, kind: str, value: Any) -> None:
        """Publish an event that is sent also to a client that is behind, so not often."""
        subscribers = self._subscribers.get(job.id)
        if subscribers is not None:
            encoded = event(kind, value)
            for subscriber in list(subscribers.members):
                subscriber.send_state(encoded, over=False)

    def keep_alive(self) -> None:
        """Send a comment to every subscriber."""
        for subscribers in list(self._subscribers.values()):
            for subscriber in list(subscribers.members):
                subscriber.send_volatile(KEEPALIVE)


def event(kind: str, value: Any, event_id: str | None = None) -> bytes:
    """Return an encoded event; JSON has no newline."""
    head = f"event: {kind}\n" if event_id is None else f"event: {kind}\nid: {event_id}\n"
    return b"%bdata: %b\n\n" % (head.encode(), msgspec.json.encode(value))
