"""The CPU usage of a run."""

from __future__ import annotations

from goloagent.core.stats.cpu_usage import CpuAccount, CpuUsage


def test_mean_and_maximum() -> None:
    """The mean is of all the time, so a long interval counts for more."""
    account = CpuAccount()
    for used, seconds in ((0.5, 1.0), (3.0, 2.0), (0.0, 1.0)):
        account.add(used, seconds)
    assert account.usage == CpuUsage(mean=0.875, max=1.5)


def test_a_short_interval() -> None:
    """It counts for the mean only, because a tick would be much of it."""
    account = CpuAccount()
    account.add(0.04, 0.02)
    assert account.usage is None
    account.add(0.06, 0.98)
    assert account.usage == CpuUsage(mean=0.1, max=0.0612)


def test_no_use() -> None:
    """It is measured."""
    account = CpuAccount()
    assert account.usage is None
    account.add(0.0, 1.0)
    assert account.usage == CpuUsage(0.0, 0.0)
