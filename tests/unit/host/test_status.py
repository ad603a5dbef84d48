"""What `systemctl status` shows: what ``/health`` says, in one line, when it has changed."""

from __future__ import annotations

import attrs
import pytest

from goloagent.host.health import HealthState, summary
from goloagent.host.readiness import Health
from goloagent.host.systemd import SystemdNotifier
from goloagent.outputs.status import CollectorStatus


@pytest.mark.parametrize(
    ("health", "line"),
    [
        (Health(), "ready"),
        (Health("disk-full", "1 byte is free."), "disk-full: 1 byte is free."),
        (Health(notices=("One.",)), "ready; 1 notice in /health"),
        (
            Health(
                collector=CollectorStatus("http://c", "retrying", last_error="refused"),
                notices=("One.", "Two."),
            ),
            "ready; collector retrying: refused; 2 notices in /health",
        ),
    ],
)
def test_the_line(health: Health, line: str) -> None:
    """The status first, then what an operator should know beside it."""
    assert summary(health) == line


def test_only_changes_are_reported() -> None:
    """Once for each change, not for each number in a sentence, and not during the stop."""
    reports: list[bytes] = []
    condition = HealthState(SystemdNotifier(reports.append))
    condition.show(Health("disk-full", "at the start"))
    condition.ready()
    reports.clear()
    health = condition.health
    for number in range(3):
        condition.show(
            attrs.evolve(health, status="disk-full", reason=f"{number} bytes\nare free.")
        )
    condition.show(health)
    condition.show(health)
    condition.set_status("stopping", "why")
    condition.show(Health("disk-full", "late"))
    assert reports == [
        b"STATUS=disk-full: 0 bytes are free.",
        b"STATUS=ready",
        b"STOPPING=1\nSTATUS=stopping",
    ]


def test_a_long_line_is_cut() -> None:
    """A manager takes datagrams, and people lines."""
    reports: list[bytes] = []
    SystemdNotifier(reports.append).status("ä" * 1000)
    assert reports == [b"STATUS=" + "ä".encode() * 240]
