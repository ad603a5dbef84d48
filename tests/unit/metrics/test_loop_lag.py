"""How late the event loop is."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from goloagent.metrics.loop_lag import INTERVAL_SECONDS, EventLoopLag


def test_lateness_is_told_at_each_interval() -> None:
    """A loop in time is late by nothing, one that was busy by as long as it was."""
    clock, told = Clock(), list[float]()
    lateness = EventLoopLag(clock, told.append)
    lateness.start()
    clock.advance(INTERVAL_SECONDS)
    clock.advance(INTERVAL_SECONDS + 2.5)
    clock.advance(INTERVAL_SECONDS)
    assert told == pytest.approx([0, 2.5, 0])
    lateness.stop()
    assert clock.getDelayedCalls() == []


def test_stop_before_start_does_nothing() -> None:
    """An agent whose start failed can be stopped."""
    EventLoopLag(Clock(), lambda seconds: None).stop()
