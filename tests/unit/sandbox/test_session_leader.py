"""Signals to a load test's first process and its group, which never meet another one's."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from goloagent.sandbox import orphans
from goloagent.sandbox.session_leader import Leader

PID, PIDFD = 4_000_000, 77


class System:
    """What the kernel has of the process and its group, and what it was told."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.has_group_signals = True
        self.has_pidfds = True
        self.group_is_made = True
        self.reaped = False

    def pidfd_open(self, pid: int) -> int:
        assert pid == PID
        if not self.has_pidfds:
            raise OSError(errno.EMFILE, "Too many open files")
        return PIDFD

    def pidfd_send_signal(self, pidfd: int, number: int, info: None = None, flags: int = 0) -> None:
        assert pidfd == PIDFD
        if flags and not self.has_group_signals:
            raise OSError(errno.EINVAL, "Invalid argument")
        if (flags and not self.group_is_made) or (not flags and self.reaped):
            raise ProcessLookupError
        self.sent.append(("group by pidfd" if flags else "process by pidfd", number))

    def waitid(self, kind: int, pid: int, options: int) -> None:
        assert options & os.WNOWAIT, "it would be reaped"
        if self.reaped:
            raise ChildProcessError

    def kill(self, pid: int, number: int) -> None:
        assert not self.reaped, "its number may be another's"
        self.sent.append(("process", number))

    def killpg(self, group: int, number: int) -> None:
        assert not self.reaped, "its number may be another's"
        if not self.group_is_made:
            raise ProcessLookupError
        self.sent.append(("group", number))

    def marked(self, group: int, mark: str, number: int) -> None:
        assert (group, mark) == (PID, "mark")
        self.sent.append(("marked of the group", number))


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    """The kernel of the test."""
    system = System()
    for name in ("pidfd_open", "waitid", "kill", "killpg"):
        monkeypatch.setattr(os, name, getattr(system, name))
    monkeypatch.setattr(signal, "pidfd_send_signal", system.pidfd_send_signal)
    monkeypatch.setattr(orphans, "signal_group", system.marked)
    return system


@pytest.mark.parametrize(
    ("pidfds", "group_signals", "reaped", "how"),
    [
        (True, True, False, "group by pidfd"),
        (True, True, True, "group by pidfd"),
        (True, False, False, "group"),
        (True, False, True, "marked of the group"),
        (False, False, False, "group"),
        (False, False, True, "marked of the group"),
    ],
)
def test_the_group(
    system: System, pidfds: bool, group_signals: bool, reaped: bool, how: str
) -> None:
    """By what holds it; once its leader is reaped the number alone is never used."""
    system.has_pidfds, system.has_group_signals = pidfds, group_signals
    leader = Leader(PID, "mark")
    system.reaped = reaped
    leader.signal_group(signal.SIGKILL)
    assert system.sent == [(how, signal.SIGKILL)]


@pytest.mark.parametrize("pidfds", [True, False])
@pytest.mark.parametrize("reaped", [True, False])
def test_a_group_that_is_not_there(system: System, pidfds: bool, reaped: bool) -> None:
    """The launcher has not made it: it is signalled itself. Or it is gone: nothing is."""
    system.has_pidfds = system.has_group_signals = pidfds
    leader = Leader(PID, "mark")
    system.group_is_made, system.reaped = False, reaped
    leader.signal_group(signal.SIGTERM)
    alone = "process by pidfd" if pidfds else "process"
    gone = [] if pidfds else [("marked of the group", signal.SIGTERM)]
    assert system.sent == (gone if reaped else [(alone, signal.SIGTERM)])


@pytest.mark.parametrize("pidfds", [True, False])
def test_a_process_that_is_reaped_gets_nothing(system: System, pidfds: bool) -> None:
    """Its number may be another's by now."""
    system.has_pidfds = pidfds
    leader = Leader(PID, "mark")
    leader.signal(signal.SIGTERM)
    system.reaped = True
    leader.signal(signal.SIGTERM)
    assert len(system.sent) == 1
