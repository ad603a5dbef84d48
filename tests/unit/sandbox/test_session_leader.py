"""Signals to a load test's first process and group, which never reach another one."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from goloagent.sandbox import orphans
from goloagent.sandbox.session_leader import SessionLeader

PID, PIDFD = 4_000_000, 77


class System:
    """A model of the kernel's state of the process and its group."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.has_group_signals = True
        self.has_pidfds = True
        self.group_exists = True
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
        if (flags and not self.group_exists) or (not flags and self.reaped):
            raise ProcessLookupError
        self.sent.append(("group by pidfd" if flags else "process by pidfd", number))

    def waitid(self, kind: int, pid: int, options: int) -> None:
        assert options & os.WNOWAIT, "this would reap it"
        if self.reaped:
            raise ChildProcessError

    def kill(self, pid: int, number: int) -> None:
        assert not self.reaped, "its number may be reused"
        self.sent.append(("process", number))

    def killpg(self, group: int, number: int) -> None:
        assert not self.reaped, "its number may be reused"
        if not self.group_exists:
            raise ProcessLookupError
        self.sent.append(("group", number))

    def signal_tagged(self, group: int, tag: str, number: int) -> None:
        assert (group, tag) == (PID, "tag")
        self.sent.append(("tagged in group", number))


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    """Return the kernel that the test models."""
    system = System()
    for name in ("pidfd_open", "waitid", "kill", "killpg"):
        monkeypatch.setattr(os, name, getattr(system, name))
    monkeypatch.setattr(signal, "pidfd_send_signal", system.pidfd_send_signal)
    monkeypatch.setattr(orphans, "signal_group", system.signal_tagged)
    return system


@pytest.mark.parametrize(
    ("pidfds", "group_signals", "reaped", "expected"),
    [
        (True, True, False, "group by pidfd"),
        (True, True, True, "group by pidfd"),
        (True, False, False, "group"),
        (True, False, True, "tagged in group"),
        (False, False, False, "group"),
        (False, False, True, "tagged in group"),
    ],
)
def test_signal_group(
    system: System, pidfds: bool, group_signals: bool, reaped: bool, expected: str
) -> None:
    """The number alone is not used after the leader is reaped."""
    system.has_pidfds, system.has_group_signals = pidfds, group_signals
    leader = SessionLeader(PID, "tag")
    system.reaped = reaped
    leader.signal_group(signal.SIGKILL)
    assert system.sent == [(expected, signal.SIGKILL)]


@pytest.mark.parametrize("pidfds", [True, False])
@pytest.mark.parametrize("reaped", [True, False])
def test_signal_a_missing_group(system: System, pidfds: bool, reaped: bool) -> None:
    """Before the launcher has created the group, its own process is signalled."""
    system.has_pidfds = system.has_group_signals = pidfds
    leader = SessionLeader(PID, "tag")
    system.group_exists, system.reaped = False, reaped
    leader.signal_group(signal.SIGTERM)
    alone = "process by pidfd" if pidfds else "process"
    gone = [] if pidfds else [("tagged in group", signal.SIGTERM)]
    assert system.sent == (gone if reaped else [(alone, signal.SIGTERM)])


@pytest.mark.parametrize("pidfds", [True, False])
def test_a_reaped_process_is_not_signalled(system: System, pidfds: bool) -> None:
    """Its number may be reused."""
    system.has_pidfds = pidfds
    leader = SessionLeader(PID, "tag")
    leader.signal(signal.SIGTERM)
    system.reaped = True
    leader.signal(signal.SIGTERM)
    assert len(system.sent) == 1
