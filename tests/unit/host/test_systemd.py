"""Reports to the service manager."""

from __future__ import annotations

import os
import socket

import pytest

from goloagent.host.systemd import SystemdNotifier, notifier


def test_reports() -> None:
    """Each message is that of sd_notify(3)."""
    reports: list[bytes] = []
    systemd = SystemdNotifier(reports.append)
    systemd.ready()
    systemd.watchdog()
    systemd.starting(1.5)
    systemd.stopping()
    assert reports == [
        b"READY=1\nSTATUS=ready",
        b"WATCHDOG=1",
        b"EXTEND_TIMEOUT_USEC=1500000\nSTATUS=starting",
        b"STOPPING=1\nSTATUS=stopping",
    ]


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "20000000"}, 10.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "7"}, 10.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_how_often_the_watchdog_wants_to_hear(
    environment: dict[str, str], seconds: float | None
) -> None:
    """Half of the time that is given, and only when it is given to this process."""
    asked = notifier({"NOTIFY_SOCKET": "/nowhere", **environment}, pid=7)
    assert asked.watchdog_seconds == seconds


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "relative"}])
def test_no_service_manager(environment: dict[str, str]) -> None:
    """Without a socket there are no reports and no watchdog."""
    silent = notifier({**environment, "WATCHDOG_USEC": "1000"}, pid=7)
    silent.ready()
    assert silent.watchdog_seconds is None


def test_a_manager_that_is_gone() -> None:
    """Telling into a socket that is not there does nothing."""
    notifier({"NOTIFY_SOCKET": "/no/such/socket"}, pid=7).ready()


def test_an_abstract_address() -> None:
    """An address that begins with @ is one without a file."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        name = f"golo-agent-{os.getpid()}"
        manager.bind(f"\0{name}")
        notifier({"NOTIFY_SOCKET": f"@{name}"}, pid=7).watchdog()
        assert manager.recv(100, socket.MSG_DONTWAIT) == b"WATCHDOG=1"
