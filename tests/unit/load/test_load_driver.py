"""When a driver's iterations start, and what is measured of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.load.peer import Peer, Reports

from goloagent.core.profile.parser import constant, parse_load


def load(member: str, start: float, *stages: tuple[float, float], **members: Any) -> Any:
    """Return a profile of stages, each a target and seconds."""
    lists = [{member: target, "duration": seconds} for target, seconds in stages]
    return parse_load({"start": start, "stages": lists, **members})


def pass_time(reports: Reports, seconds: float, step: float = 0.001) -> None:
    """Let time pass in steps."""
    for _ in range(round(seconds / step)):
        reports.clock.advance(step)


def test_users_ramp_without_a_reply(reports: Reports) -> None:
    """More users start at once; fewer users start no call until enough have returned."""
    stages = (50, 1), (50, 1), (0, 0), (0, 1), (5, 0), (5, 10)
    peer = Peer(reports.follow(load("users", 10, *stages)))
    reports.driver.start()
    assert peer.outstanding == 10
    pass_time(reports, 1.5)
    assert peer.outstanding == 50
    pass_time(reports, 1)
    peer.reply(48)
    assert (peer.outstanding, reports.calls.started) == (2, 50)
    pass_time(reports, 1)
    assert (peer.outstanding, reports.calls.started) == (5, 53)


def test_arrivals_do_not_wait_for_replies(reports: Reports) -> None:
    """In the open model each iteration starts when it is due; those of one moment share a write."""
    peer = Peer(reports.follow(load("rate", 100, (100, 2))))
    reports.driver.start()
    pass_time(reports, 1)
    assert reports.calls.started == peer.outstanding == 101
    reports.clock.advance(0.5)
    assert reports.calls.started == peer.outstanding == 151
    peer.reply(151)
    times = reports.driver.times.rotate()
    assert times.schedule_lag.maximum == pytest.approx(490e6, rel=0.01)
    assert times.iteration.maximum == pytest.approx(1.5e9, rel=0.01)
    assert times.iteration.count == times.service.count == 151
    assert reports.driver.take_max_in_flight() == 151
    assert reports.driver.take_max_in_flight() == 0


def test_stop_accounts_for_every_arrival(reports: Reports) -> None:
    """At the end started and dropped are what was scheduled, and calls in flight are awaited."""
    profile = load("rate", 500, (500, 2), max_in_flight=100, when_full="wait")
    peer = Peer(reports.follow(profile))
    reports.driver.start()
    pass_time(reports, 1)
    peer.reply(30)
    reports.clock.advance(1.0)
    reports.driver.stop()
    calls = reports.calls
    assert (calls.started, calls.dropped, calls.scheduled) == (130, 870, profile.scheduled(2**62))
    assert (reports.drained, reports.clock.getDelayedCalls()) == (0, [])
    peer.reply(100)
    assert reports.drained == 1


def test_waiting_arrivals_start_with_the_replies(reports: Reports) -> None:
    """Each reply starts one that waits, which is measured from when it was due."""
    peer = Peer(reports.follow(load("rate", 10, (10, 10), max_in_flight=1, when_full="wait")))
    reports.driver.start()
    pass_time(reports, 2, 0.01)
    peer.reply(1)
    assert (peer.outstanding, reports.calls.started) == (1, 2)
    reports.driver.times.rotate()
    reports.clock.advance(1)
    peer.reply(1)
    times = reports.driver.times.rotate()
    assert times.iteration.maximum == pytest.approx(2.9e9, rel=0.01)
    assert times.service.maximum == pytest.approx(1e9, rel=0.01)


def test_another_profile_aborts_no_call(reports: Reports) -> None:
    """Fewer users follow at once in the counts, and by replies in flight."""
    profile = load("users", 40, (40, 60))
    peer = Peer(reports.follow(profile))
    reports.driver.start()
    reports.driver.follow(profile.holding(10, reports.driver.elapsed))
    peer.reply(30)
    assert (peer.outstanding, reports.calls.started) == (10, 40)
    peer.reply(1)
    assert (peer.outstanding, reports.calls.started) == (10, 41)
    reports.driver.follow(profile.holding(25, reports.driver.elapsed))
    assert peer.outstanding == 25


def test_a_change_drops_no_arrival_that_has_a_place(reports: Reports) -> None:
    """Arrivals that are due and not sent yet when the plan changes are sent first."""
    profile = load("rate", 100, (100, 60))
    peer = Peer(reports.follow(profile))
    reports.driver.start()
    reports.clock.rightNow += 0.5
    reports.driver.follow(profile.holding(0, reports.driver.elapsed))
    assert (peer.outstanding, reports.calls.dropped) == (51, 0)


def test_a_load_without_a_duration(reports: Reports) -> None:
    """Each user makes one call, as with agents of 2018."""
    peer = Peer(reports.follow(constant("users", 25, 0)))
    reports.driver.start()
    reports.driver.stop()
    assert peer.outstanding == 25
    peer.reply(25)
    assert (peer.outstanding, reports.calls.started, reports.drained) == (0, 25, 1)


def test_nothing_starts_after_a_halt(reports: Reports) -> None:
    """A driver whose connection is lost counts no further call."""
    Peer(reports.follow(load("rate", 100, (100, 10))))
    reports.driver.start()
    pass_time(reports, 1)
    reports.driver.halt()
    pass_time(reports, 1)
    assert reports.calls.started == 101


def test_frequent_arrivals_share_events_with_replies(reports: Reports) -> None:
    """From two arrivals a millisecond on, replies are read with the next of them."""
    peer = Peer(reports.follow(load("rate", 5_000, (5_000, 10))))
    reports.driver.start()
    pass_time(reports, 0.01)
    peer.reply(peer.outstanding)
    assert (reports.calls.ok, reports.calls.started) == (0, 51)
    reports.clock.advance(0.001)
    assert (reports.calls.ok, reports.calls.started) == (51, 56)
    assert reports.driver.times.rotate().iteration.maximum == pytest.approx(11e6, rel=0.01)


@pytest.mark.parametrize(("rate", "seconds"), [(500, 9), (0, 9), (0, 0)])
def test_rare_arrivals_share_no_events(reports: Reports, rate: float, seconds: float) -> None:
    """Replies are read when they come, as soon as arrivals are rare or over."""
    stages = (5_000, 1), (rate, 0), (rate, seconds)
    peer = Peer(reports.follow(load("rate", 5_000, *stages)))
    reports.driver.start()
    pass_time(reports, 1.01)
    peer.reply(1_000)
    assert reports.calls.ok == 1_000


@pytest.mark.parametrize("halt", [True, False])
def test_the_end_of_a_load_shares_no_events(reports: Reports, halt: bool) -> None:
    """Replies are read when they come after a stop, and the end of the connection after a halt."""
    peer = Peer(reports.follow(load("rate", 5_000, (5_000, 10))))
    reports.driver.start()
    pass_time(reports, 1)
    if halt:
        reports.driver.halt()
        peer.close()
        assert reports.lost == [None]
    else:
        reports.driver.stop()
        peer.reply(peer.outstanding)
        assert reports.drained == 1


def test_arrivals_that_wait_share_no_events(reports: Reports) -> None:
    """A reply starts the next arrival at once, also at a high rate."""
    profile = load("rate", 5_000, (5_000, 10), max_in_flight=10, when_full="wait")
    peer = Peer(reports.follow(profile))
    reports.driver.start()
    pass_time(reports, 0.1)
    peer.reply(5)
    assert (peer.outstanding, reports.calls.started) == (10, 15)


def test_a_connection_ends_while_events_are_shared(reports: Reports) -> None:
    """The last replies are read, and the end is found with the next arrivals."""
    peer = Peer(reports.follow(load("rate", 5_000, (5_000, 10))))
    reports.driver.start()
    pass_time(reports, 0.01)
    peer.reply(30)
    peer.close()
    assert reports.lost == []
    reports.clock.advance(0.001)
    reports.clock.advance(0.001)
    peer.turn()
    assert (reports.calls.ok, reports.lost) == (30, [None])


@given(
    st.sampled_from(["drop", "wait"]),
    st.sampled_from(["even", "poisson"]),
    st.sampled_from([200, 5_000]),
    st.lists(st.tuples(st.floats(0.001, 0.4), st.integers(0, 30), st.integers(0, 2)), max_size=30),
)
def test_started_and_dropped_are_what_was_scheduled(
    when_full: str, arrivals: str, rate: int, steps: list[tuple[float, int, int]]
) -> None:
    """At the end of any sequence of stalls, replies and changes no call is lost or made twice."""
    limits = {"max_in_flight": 20, "when_full": when_full, "arrivals": arrivals}
    profile = load("rate", 50, (rate, 5), **limits)
    reports = Reports()
    peer = Peer(reports.follow(profile))
    reports.driver.start()
    is_changed = False

    def reply(count: int) -> None:
        if count := min(count, peer.outstanding):
            peer.reply(count)

    for seconds, replies, change in steps:
        reports.clock.advance(seconds)
        if change == 1:
            reports.driver.follow(profile.holding(100, reports.driver.elapsed))
            is_changed = True
        reply(replies)
        # Replies that share an event with the next arrivals are not read yet.
        assert peer.outstanding <= reports.calls.in_flight <= 20
    elapsed = reports.driver.elapsed
    reports.driver.stop()
    peer.turn()
    if not is_changed:
        due = sum(at <= elapsed for at in profile.arrival_times())
        assert reports.calls.scheduled == due
    reply(peer.outstanding)
    assert reports.calls.started == reports.calls.ok
    assert reports.drained == 1
