"""Which run's results are pushed next.

Live runs push a batch each in turn, together with one of the runs that are over: of these there
may be thousands after an outage. They wait with nothing open, their names in turn, and the one that
pushes is changed after a while. A run that is paused comes back when its time has come; one that
was refused gets its turn as a probe, of which there are few. Knows neither the output nor a clock.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import count

import attrs

from goloagent.outputs.feed import RunFeed
from goloagent.outputs.probes import ProbePacer

# So many pushes of a run that is over, up to 1 MiB each, before another one's.
PUSHES_AT_A_TIME = 16
_NEVER = float("inf")


@attrs.define
class _Rotation:
    """Feeds that wait, by the names of their jobs in turn, each name's in the order of coming."""

    _names: OrderedDict[str, deque[RunFeed]] = attrs.field(init=False, factory=OrderedDict)

    def __bool__(self) -> bool:
        return self.first() is not None

    def add(self, feed: RunFeed) -> None:
        self._names.setdefault(feed.job.spec.name, deque()).append(feed)

    def first(self) -> RunFeed | None:
        """Return the next feed; those that were closed meanwhile are left out."""
        while self._names:
            name, feeds = next(iter(self._names.items()))
            while feeds and feeds[0].closed:
                feeds.popleft()
            if feeds:
                return feeds[0]
            del self._names[name]
        return None

    def pop(self) -> RunFeed:
        """Take the next feed, and let another name follow."""
        feed = self.first()
        assert feed is not None
        name = feed.job.spec.name
        self._names[name].popleft()
        self._names.move_to_end(name)
        return feed


class FairQueue:
    """Feeds and their order; `probes` says how many may be tried that will fail."""

    def __init__(self, probes: ProbePacer) -> None:
        self._probes = probes
        self._feeds: dict[str, RunFeed] = {}
        # Those that push a batch each in turn: live ones and `_over`.
        self._active: OrderedDict[str, RunFeed] = OrderedDict()
        self._over: RunFeed | None = None
        self._left = 0
        self._waiting = _Rotation()
        self._refused = _Rotation()
        # By when they resume, then by when they came.
        self._paused: list[tuple[float, int, RunFeed]] = []
        self._numbers = count()
        self._probing: RunFeed | None = None
        self._first_try_is_next = True

    def __iter__(self) -> Iterator[RunFeed]:
        return iter(list(self._feeds.values()))

    def add(self, feed: RunFeed) -> None:
        """Add the feed of a live run."""
        self._feeds[feed.job.id] = feed
        self._active[feed.job.id] = feed

    def get(self, job_id: str) -> RunFeed | None:
        """Return the feed of a run, or None when nothing of it is to be delivered."""
        return self._feeds.get(job_id)

    def remove(self, feed: RunFeed) -> None:
        """Remove a feed: nothing of it is to be delivered any more."""
        feed.closed = True
        feed.close()
        del self._feeds[feed.job.id]
        self._deactivate(feed)

    def close(self) -> None:
        """Close every log."""
        for feed in self._feeds.values():
            feed.close()

    def pause(self, feed: RunFeed) -> None:
        """Have a feed wait until it resumes, while the others go on."""
        self._deactivate(feed)
        heapq.heappush(self._paused, (feed.resume_at, next(self._numbers), feed))

    def rotate(self) -> None:
        """Let another run that is over try: a failure may be the fault of the one that just did."""
        self._left = 0

    def next(self, now: float, at_once: bool) -> tuple[float, RunFeed | None]:
        """Return in how many seconds the next push is due, and whose it is when that is now."""
        if self._probing is not None:  # it was taken, else it would be paused
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
        is_first_try = seconds == 0 and feed is not None and not feed.proven
        # Where first tries have to wait for a probe's turn too, they take turns with probes.
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
            self._left -= feed is self._over
            return 0.0, feed
        if self._refused:
            seconds = min(seconds, self._probes.probe_in(now))
        if self._over is None and self._waiting:
            seconds = min(seconds, self._probes.first_try_in(now, live=False))
        if self._paused:
            seconds = min(seconds, self._paused[0][0] - now)
        return seconds, None

    def _due_in(self, feed: RunFeed, now: float, at_once: bool) -> float:
        seconds = feed.due_in(now, at_once)
        if feed.proven:
            return seconds
        return max(seconds, self._probes.first_try_in(now, live=not feed.complete))

    def _goes_last(self, feed: RunFeed) -> bool:
        """Tell whether live runs go first: where only some first tries may go at all."""
        return (
            feed is self._over and not feed.proven and self._probes.first_try_is_probe(live=False)
        )

    def _resume(self, now: float) -> None:
        """Bring back those that have paused long enough."""
        while self._paused and self._paused[0][0] <= now:
            _, _, feed = heapq.heappop(self._paused)
            if feed.closed:
                continue
            if feed.is_probe:
                self._refused.add(feed)
            else:
                self._activate(feed)

    def _activate(self, feed: RunFeed) -> None:
        if feed is self._probing:
            self._probing = None
        if feed.complete:
            self._waiting.add(feed)
        else:
            self._active[feed.job.id] = feed

    def _deactivate(self, feed: RunFeed) -> None:
        self._active.pop(feed.job.id, None)
        if feed is self._over:
            self._over = None
        if feed is self._probing:
            self._probing = None

    def _change_over(self, now: float) -> None:
        """Have one run that is over push, and the others wait."""
        for feed in [feed for feed in self._active.values() if feed.complete]:
            if feed is self._over:
                continue
            if self._over is None and not self._can_follow(now):
                self._over, self._left = feed, PUSHES_AT_A_TIME
            else:
                self._put_back(feed)
        if self._over is not None and self._left <= 0 and self._can_follow(now):
            self._put_back(self._over)
        if self._over is None and self._can_follow(now):
            self._over = self._waiting.pop()
            self._left = PUSHES_AT_A_TIME
            self._active[self._over.job.id] = self._over

    def _can_follow(self, now: float) -> bool:
        """Tell whether a run that is over waits that may push now."""
        feed = self._waiting.first()
        return feed is not None and (feed.proven or self._probes.first_try_in(now, live=False) == 0)

    def _put_back(self, feed: RunFeed) -> None:
        self._deactivate(feed)
        feed.release()
        self._waiting.add(feed)
