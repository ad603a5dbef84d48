"""The delay of the event loop."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from goloagent.metrics.loop_lag import INTERVAL_SECONDS, EventLoopLag


def test_the_delay_is_observed_at_each_interval() -> None:
    """A punctual loop has none; a busy one has that of the busy time."""
    clock, observed = Clock(), list[float]()
    lag = EventLoopLag(clock, observed.append)
    lag.start()
    clock.advance(INTERVAL_SECONDS)
    clock.advance(INTERVAL_SECONDS + 2.5)
    clock.advance(INTERVAL_SECONDS)
    assert observed == pytest.approx([0, 2.5, 0])
    lag.stop()
    assert clock.getDelayedCalls() == []


def test_stop_before_start_does_nothing() -> None:
    """An agent whose start failed can be stopped."""
    EventLoopLag(Clock(), lambda seconds: None).stop()
