"""The load driver: starts the iterations of an executor on an RPC client when they are due."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from goloagent.core.profile.load_profile import LoadProfile
from goloagent.core.profile.ramp import NS
from goloagent.load.call_times import CallTimes
from goloagent.load.executor import make_executor
from goloagent.load.rpc_client import RpcClient
from goloagent.netrpc import Replies

# The reactor's timers have a resolution of 1 ms; arrivals within one are sent together, and from so
# many of them on, the replies that came meanwhile are read together too. Each of those events would
# cost several times as much as a call.
_RESOLUTION = NS // 1000
_SHARED_ARRIVALS = 2


class CallCounts(Protocol):
    """The counts of calls, which the driver writes."""

    started: int
    dropped: int
    ok: int
    failed: int


class LoadDriver:
    """Drives one load test from `start` to `stop`.

    Args:
        counts: written with every chunk of replies.
        drained: called once when the driver has stopped and no call is in flight.
        failed: called with the error texts of calls.
        now_ns: a monotonic time.
    """

    def __init__(
        self,
        profile: LoadProfile,
        client: RpcClient,
        counts: CallCounts,
        drained: Callable[[], None],
        failed: Callable[[Sequence[str]], None],
        clock: IReactorTime,
        now_ns: Callable[[], int],
    ) -> None:
        self.profile = profile
        self.times = CallTimes(profile.model)
        self.max_in_flight = 0
        self.last_error: str | None = None
        self.ended: int | None = None
        """Nanoseconds from `begin` to the end of the load, or None before it."""
        self._executor = make_executor(profile)
        self._client = client
        self._counts = counts
        self._drained = drained
        self._failed = failed
        self._clock = clock
        self._now_ns = now_ns
        self._origin = 0
        self._is_driving = False
        self._is_sharing = False
        self._started_before = 0
        self._timer: IDelayedCall | None = None
        client.returned = self._returned

    @property
    def elapsed(self) -> int:
        """Nanoseconds since `start`."""
        return self._now_ns() - self._origin

    @property
    def planned(self) -> float:
        """The users, or the iterations per second, that the profile plans for now."""
        if not self._is_driving:
            return 0.0
        profile, now = self.profile, self.elapsed
        return profile.users(now) if profile.model == "closed" else profile.rate(now)

    def begin(self) -> None:
        """Begin the time of the load, without calls."""
        self._origin = self._now_ns()
        self.ended = None

    def start(self) -> None:
        """Start the load."""
        self.begin()
        self._is_driving = True
        self._client.open()
        self._start_until(0)

    def stop(self) -> None:
        """Start no further iteration; `drained` follows the last reply."""
        if self._is_driving:
            now = self.elapsed
            self._start_due(now, self._client.in_flight)
            self._executor.end(now)
            self._counts.dropped = self._executor.dropped
        self.halt()
        if not self._client.in_flight:
            self._drained()

    def halt(self) -> None:
        """Start nothing further, and wait for nothing."""
        self._is_driving = False
        if self.ended is None:
            self.ended = self.elapsed
        self._share_events(False)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def follow(self, profile: LoadProfile) -> None:
        """Follow another profile of the same model from now on; no call is aborted."""
        self.profile = profile
        if self._is_driving:
            now = self.elapsed
            self._start_due(now, self._client.in_flight)
            self._executor.replace(profile, now)
            if self._timer is not None:
                self._timer.cancel()
            self._on_time()

    def take_max_in_flight(self) -> int:
        """Return the most calls in flight at once since the last time that this was called."""
        most = max(self.max_in_flight, self._client.in_flight)
        self.max_in_flight = self._client.in_flight
        return most

    def take_waited(self) -> bool:
        """Return whether an iteration had to wait for a place since the last call of this."""
        waited, self._executor.waited = self._executor.waited, False
        return waited

    def _on_time(self) -> None:
        self._timer = None
        if self._is_sharing:
            self._client.poll()
        if self._is_driving:
            self._start_until(self.elapsed)

    def _start_until(self, now: int) -> None:
        """Start what is due, and come back when there may be more."""
        self._start_due(now, self._client.in_flight)
        due = self._executor.next_at
        self._share_events(due is not None and now < due < now + _RESOLUTION)
        if due is not None:
            seconds = max(due - now, _RESOLUTION) / NS
            self._timer = self._clock.callLater(seconds, self._on_time)

    def _share_events(self, is_frequent: bool) -> None:
        """Read replies together with the next arrivals if these are frequent and none waits."""
        started, self._started_before = self._started_before, self._counts.started
        is_sharing = (
            is_frequent
            and self.profile.model == "open"
            and self._counts.started - started >= _SHARED_ARRIVALS
        )
        if self._is_sharing and not is_sharing:
            self._client.open()
        self._is_sharing = is_sharing

    def _returned(self, replies: Replies, in_flight: int) -> None:
        """Count calls that have returned, and start those that follow from them."""
        now = self._now_ns() - self._origin
        ok, errors, stamps = replies
        self._counts.ok += ok
        if errors:
            self._counts.failed += len(errors)
            self.last_error = errors[-1]
            self._failed(errors)
        self.times.returned(stamps, now)
        if self._is_driving:
            self._start_due(now, in_flight)
        elif not in_flight:
            self._drained()

    def _start_due(self, now: int, in_flight: int) -> None:
        starts = self._executor.due(now, in_flight)
        if self._executor.dropped:
            self._counts.dropped = self._executor.dropped
        if starts:
            in_flight += len(starts)
            if in_flight > self.max_in_flight:
                self.max_in_flight = in_flight
            self._client.call(self.times.sent(starts, now))
            self._counts.started += len(starts)
