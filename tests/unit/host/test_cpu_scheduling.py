"""The agent uses SCHED_BATCH where it is allowed."""

from __future__ import annotations

import errno
import os

import pytest

from goloagent.host.cpu_scheduling import use_batch_scheduling
from goloagent.sandbox import launcher


class Kernel:
    """Keeps one policy, or fails as some do."""

    def __init__(self, policy: int, error: int | None = None) -> None:
        self.policy = policy
        self._error = error

    def get(self, pid: int) -> int:
        return self.policy

    def set(self, pid: int, policy: int, param: os.sched_param) -> None:
        if self._error is not None:
            raise OSError(self._error, os.strerror(self._error))
        self.policy = policy


def kernel_of(monkeypatch: pytest.MonkeyPatch, policy: int, error: int | None = None) -> Kernel:
    """Have the system calls go to a kernel."""
    kernel = Kernel(policy, error)
    monkeypatch.setattr(os, "sched_getscheduler", kernel.get)
    monkeypatch.setattr(os, "sched_setscheduler", kernel.set)
    return kernel


@pytest.mark.parametrize(
    ("before", "agents", "load_tests"),
    [
        (os.SCHED_OTHER, os.SCHED_BATCH, os.SCHED_OTHER),
        (os.SCHED_BATCH, os.SCHED_BATCH, os.SCHED_OTHER),
        (os.SCHED_IDLE, os.SCHED_IDLE, os.SCHED_IDLE),
        (os.SCHED_FIFO, os.SCHED_FIFO, os.SCHED_FIFO),
    ],
)
def test_a_policy(
    monkeypatch: pytest.MonkeyPatch, before: int, agents: int, load_tests: int
) -> None:
    """The agent uses SCHED_BATCH, load tests do not, and another policy is kept."""
    kernel = kernel_of(monkeypatch, before)
    use_batch_scheduling()
    assert kernel.policy == agents
    launcher._default_scheduling()
    assert kernel.policy == load_tests


@pytest.mark.parametrize("error", [errno.EPERM, errno.EINVAL, errno.ENOSYS])
def test_a_refusal(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    """A sandbox that forbids it, or has no such policy, prevents neither start nor launch."""
    kernel = kernel_of(monkeypatch, os.SCHED_OTHER, error)
    use_batch_scheduling()
    assert kernel.policy == os.SCHED_OTHER
    kernel.policy = os.SCHED_BATCH
    launcher._default_scheduling()
    assert kernel.policy == os.SCHED_BATCH


def test_no_such_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some C libraries have none."""
    monkeypatch.delattr(os, "sched_getscheduler")
    use_batch_scheduling()
    launcher._default_scheduling()
