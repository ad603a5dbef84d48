"""The order in which runs are delivered: round robin, with a quantum for runs that are over. Pure.

Live runs push one batch each in turn, together with one of the runs that are over, of which there
may be thousands after an outage. These wait with nothing open, in round robin by name, and the
active one changes after `QUANTUM` pushes. A paused run returns at its time; a refused one waits for
a probe, which is rare.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import count

import attrs

from goloagent.outputs.feed import Feed
from goloagent.outputs.probes import ProbePacer

QUANTUM = 16
"""Pushes of a run that is over, up to 1 MiB each, before another one's turn."""
_NEVER = float("inf")


@attrs.define
class _Rotation:
    """Waiting feeds in round robin by the names of their jobs, in order within a name."""

    _names: OrderedDict[str, deque[Feed]] = attrs.field(init=False, factory=OrderedDict)

    def __bool__(self) -> bool:
        return self.first() is not None

    def add(self, feed: Feed) -> None:
        self._names.setdefault(feed.job.spec.name, deque()).append(feed)

    def first(self) -> Feed | None:
        """Return the next feed that is not closed."""
        while self._names:
            name, feeds = next(iter(self._names.items()))
            while feeds and feeds[0].closed:
                feeds.popleft()
            if feeds:
                return feeds[0]
            del self._names[name]
        return None

    def pop(self) -> Feed:
        """Take the next feed; another name follows."""
        feed = self.first()
        assert feed is not None
        name = feed.job.spec.name
        self._names[name].popleft()
        self._names.move_to_end(name)
        return feed


class FairQueue:
    """Feeds in order; `probes` limits pushes that will probably be refused."""

    def __init__(self, probes: ProbePacer) -> None:
        self._probes = probes
        self._feeds: dict[str, Feed] = {}
        # Feeds that push one batch each in turn: live ones and `_over`.
        self._active: OrderedDict[str, Feed] = OrderedDict()
        self._over: Feed | None = None
        self._quantum_left = 0
        self._waiting = _Rotation()
        self._refused = _Rotation()
        # By the time of resumption, then by the time of the pause.
        self._paused: list[tuple[float, int, Feed]] = []
        self._numbers = count()
        self._probing: Feed | None = None
        self._first_try_is_next = True

    def __iter__(self) -> Iterator[Feed]:
        return iter(list(self._feeds.values()))

    def add(self, feed: Feed) -> None:
        """Add the feed of a live run."""
        self._feeds[feed.job.id] = feed
        self._active[feed.job.id] = feed

    def get(self, job_id: str) -> Feed | None:
        """Return the feed of a run, or None if there is nothing to deliver."""
        return self._feeds.get(job_id)

    def remove(self, feed: Feed) -> None:
        """Remove and close a feed."""
        feed.closed = True
        feed.close()
        del self._feeds[feed.job.id]
        self._deactivate(feed)

    def close(self) -> None:
        """Close every log."""
        for feed in self._feeds.values():
            feed.close()

    def pause(self, feed: Feed) -> None:
        """Pause a feed until its `resume_at`, while the others continue."""
        self._deactivate(feed)
        heapq.heappush(self._paused, (feed.attempts.resume_at, next(self._numbers), feed))

    def rotate(self) -> None:
        """Change the active run that is over, because it may be the cause of a failure."""
        self._quantum_left = 0

    def next(self, now: float, at_once: bool) -> tuple[float, Feed | None]:
        """Return the seconds until the next push, and its feed if it is due now."""
        if self._probing is not None:  # its probe was delivered, or it would be paused
            self._activate(self._probing)
        self._resume(now)
        self._change_over(now)
        seconds, _, feed = min(
            (
                (self._due_in(feed, now, at_once), self._goes_last(feed), feed)
                for feed in self._active.values()
            ),
            key=lambda due: due[:2],
            default=(_NEVER, False, None),
        )
        is_first_try = seconds == 0 and feed is not None and not feed.attempts.proven
        # If first tries must wait for a probe too, the two alternate.
        goes_first = (
            feed is not None
            and is_first_try
            and self._first_try_is_next
            and self._probes.first_try_is_probe(live=not feed.complete)
        )
        if self._refused and self._probes.probe_in(now) == 0 and not goes_first:
            self._first_try_is_next = True
            self._probing = self._refused.pop()
            return 0.0, self._probing
        if seconds == 0 and feed is not None:
            self._first_try_is_next = self._first_try_is_next and not is_first_try
            self._active.move_to_end(feed.job.id)
            self._quantum_left -= feed is self._over
            return 0.0, feed
        if self._refused:
            seconds = min(seconds, self._probes.probe_in(now))
        if self._over is None and self._waiting:
            seconds = min(seconds, self._probes.first_try_in(now, live=False))
        if self._paused:
            seconds = min(seconds, self._paused[0][0] - now)
        return seconds, None

    def _due_in(self, feed: Feed, now: float, at_once: bool) -> float:
        seconds = feed.due_in(now, at_once)
        if feed.attempts.proven:
            return seconds
        return max(seconds, self._probes.first_try_in(now, live=not feed.complete))

    def _goes_last(self, feed: Feed) -> bool:
        """Return whether live runs go first, because first tries are limited."""
        return (
            feed is self._over
            and not feed.attempts.proven
            and self._probes.first_try_is_probe(live=False)
        )

    def _resume(self, now: float) -> None:
        """Return feeds whose pause is over to their place."""
        while self._paused and self._paused[0][0] <= now:
            _, _, feed = heapq.heappop(self._paused)
            if feed.closed:
                continue
            if feed.attempts.is_probe:
                self._refused.add(feed)
            else:
                self._activate(feed)

    def _activate(self, feed: Feed) -> None:
        if feed is self._probing:
            self._probing = None
        if feed.complete:
            self._waiting.add(feed)
        else:
            self._active[feed.job.id] = feed

    def _deactivate(self, feed: Feed) -> None:
        self._active.pop(feed.job.id, None)
        if feed is self._over:
            self._over = None
        if feed is self._probing:
            self._probing = None

    def _change_over(self, now: float) -> None:
        """Keep one run that is over active, and the others waiting."""
        for feed in [feed for feed in self._active.values() if feed.complete]:
            if feed is self._over:
                continue
            if self._over is None and not self._can_follow(now):
                self._over, self._quantum_left = feed, QUANTUM
            else:
                self._put_back(feed)
        if self._over is not None and self._quantum_left <= 0 and self._can_follow(now):
            self._put_back(self._over)
        if self._over is None and self._can_follow(now):
            self._over = self._waiting.pop()
            self._quantum_left = QUANTUM
            self._active[self._over.job.id] = self._over

    def _can_follow(self, now: float) -> bool:
        """Return whether a waiting run that is over may push now."""
        feed = self._waiting.first()
        return feed is not None and (
            feed.attempts.proven or self._probes.first_try_in(now, live=False) == 0
        )

    def _put_back(self, feed: Feed) -> None:
        self._deactivate(feed)
        feed.release()
        self._waiting.add(feed)
