"""The health of the whole agent: which fault counts, and what is checked when."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import ensureDeferred

from goloagent.core.host_fault import HostFault
from goloagent.host.agent_health import AgentHealth
from goloagent.host.health import HealthState
from goloagent.host.readiness import READY
from goloagent.host.systemd import notifier
from goloagent.outputs.status import CollectorStatus

DISK = HostFault("disk-full", "The disk is full.")
QUEUE = HostFault("no-processes", "No process can be started.")
CHECK = HostFault("rpc-port-busy", "The port is busy.")


class Checks:
    """Checks whose latest and next outcome are set."""

    def __init__(self, latest: HostFault | None, found: HostFault | None = None) -> None:
        self.fault = latest
        self.found = found

    async def check(self) -> HostFault | None:
        return self.found


def health(
    disk: Checks,
    checks: Checks,
    queue: HostFault | None = None,
    disk_now: HostFault | None = None,
    rpc_is_free: Callable[[], Any] = lambda: _answer(True),
) -> AgentHealth:
    """Return the health of a ready agent."""
    state = HealthState(notifier({}, 1))
    state.ready()
    return AgentHealth(
        state,
        disk,  # type: ignore[arg-type]
        checks,  # type: ignore[arg-type]
        lambda: disk_now,
        lambda: queue,
        "127.0.0.1:4321",
        rpc_is_free,
        lambda: CollectorStatus(pending=7),
    )


async def _answer(free: bool) -> bool:
    return free


@pytest.mark.parametrize(
    ("disk", "queue", "check", "status"),
    [
        (None, None, None, READY),
        (DISK, QUEUE, CHECK, "disk-full"),
        (None, QUEUE, CHECK, "no-processes"),
        (None, None, CHECK, "rpc-port-busy"),
    ],
)
def test_the_first_fault_counts(
    disk: HostFault | None, queue: HostFault | None, check: HostFault | None, status: str
) -> None:
    """The disk's, then what pauses the queue, then the other checks; the collector is shown."""
    found = health(Checks(disk), Checks(check), queue).current()
    assert (found.status, found.collector.pending) == (status, 7)


def test_free_space_is_checked_before_a_write() -> None:
    """A full disk is found at once, and not by the next periodic check."""
    agent = health(Checks(None), Checks(None), disk_now=DISK)
    assert agent.current().status == READY
    assert agent.before_write().status == "disk-full"


@pytest.mark.parametrize(
    ("disk", "check", "free", "status"),
    [
        (None, None, True, None),
        (DISK, CHECK, True, "disk-full"),
        (None, CHECK, True, "rpc-port-busy"),
        (None, None, False, "rpc-port-busy"),
    ],
)
def test_a_check_before_a_job(
    disk: HostFault | None, check: HostFault | None, free: bool, status: str | None
) -> None:
    """Checks run again, and the RPC address is tried last."""
    agent = health(Checks(None, disk), Checks(None, check), rpc_is_free=lambda: _answer(free))
    fault = ensureDeferred(agent.check()).result
    assert (None if fault is None else fault.status) == status


def test_an_rpc_address_that_cannot_be_tried() -> None:
    """The fault names the address and the error."""

    async def fail() -> bool:
        raise OSError(errno.EACCES, "permission denied")

    agent = health(Checks(None), Checks(None), rpc_is_free=fail)
    fault = ensureDeferred(agent.check()).result
    assert fault is not None
    assert "127.0.0.1:4321" in fault.sentence
    assert "permission denied" in fault.sentence
