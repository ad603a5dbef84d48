"""Whose turn it is: tracks of live runs go a batch each, and one track of the runs that are over.

Runs that are over may be thousands after an outage. They wait in order with nothing open, and the
one that goes is changed after a while. Knows neither the collector nor a clock.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from itertools import count

from goloagent.delivery.track import Track

# So many pushes of a run that is over, up to 1 MiB each, before another one's.
PUSHES_AT_A_TIME = 16


class Turns:
    """Tracks and their order."""

    def __init__(self) -> None:
        self._going: OrderedDict[str, Track] = OrderedDict()
        self._over: Track | None = None
        self._left = 0
        # By when they may go, then by when they came.
        self._waiting: list[tuple[float, int, Track]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._going) + len(self._waiting)

    def add(self, track: Track) -> None:
        """Take in the track of a live run."""
        self._going[track.job.id] = track

    def live(self, job_id: str) -> Track:
        """Return the track of a run whose log is not complete."""
        return self._going[job_id]

    def remove(self, track: Track) -> None:
        """Let go of a track at its end."""
        track.let_go()
        del self._going[track.job.id]
        if track is self._over:
            self._over = None

    def close(self) -> None:
        """Close every log."""
        for track in self._going.values():
            track.let_go()

    def next(self, now: float, at_once: bool) -> tuple[float, Track | None]:
        """Return in how many seconds a turn begins, and whose it is when that is now."""
        self._change(now)
        seconds, track = min(
            ((track.due_in(now, at_once), track) for track in self._going.values()),
            key=lambda due: due[0],
            default=(float("inf"), None),
        )
        if seconds == 0 and track is not None:
            self._going.move_to_end(track.job.id)
            self._left -= track is self._over
            return 0.0, track
        if self._over is None and self._waiting:
            seconds = min(seconds, self._waiting[0][0] - now)
        return seconds, None

    def pass_on(self) -> None:
        """Let another run that is over try: this may be the fault of the one that just did."""
        self._left = 0

    def _change(self, now: float) -> None:
        """Have one track of a run that is over go, and the others wait."""
        over = self._over
        if over is not None and (over.resume_at > now or (self._left <= 0 and self._waits(now))):
            self._put_back(over, now)
        for track in [track for track in self._going.values() if track.complete]:
            if self._over is None and track.resume_at <= now and not self._waits(now):
                self._over, self._left = track, PUSHES_AT_A_TIME
            elif track is not self._over:
                self._put_back(track, now)
        if self._over is None and self._waits(now):
            _, _, self._over = heapq.heappop(self._waiting)
            self._left = PUSHES_AT_A_TIME
            self.add(self._over)

    def _waits(self, now: float) -> bool:
        """Tell whether a track waits that may go."""
        return bool(self._waiting) and self._waiting[0][0] <= now

    def _put_back(self, track: Track, now: float) -> None:
        self.remove(track)
        heapq.heappush(self._waiting, (max(now, track.resume_at), next(self._numbers), track))
