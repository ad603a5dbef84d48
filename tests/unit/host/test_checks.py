"""Checks of the host, and checks that hang."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock

from goloagent.core.host_fault import HostFault
from goloagent.host.checks import (
    SLOW_SECONDS,
    HostChecks,
    check_rpc_port,
    check_tasks,
    check_writable,
)
from goloagent.sandbox import peer_check

FAULT = HostFault("read-only", "It cannot be written to.")


def test_a_directory_that_can_be_written_to(tmp_path: Path) -> None:
    """Nothing is wrong, and nothing is left in it."""
    assert check_writable([tmp_path]) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (errno.EROFS, "read-only"),
        (errno.EIO, "disk-error"),
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EMFILE, "no-descriptors"),
        (errno.ENFILE, "no-descriptors"),
        (errno.EACCES, "disk-error"),
    ],
)
def test_a_directory_that_cannot(monkeypatch: pytest.MonkeyPatch, number: int, status: str) -> None:
    """Each trouble has its name, and the sentence says where it is."""

    def fail(**_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    fault = check_writable([Path("/logs")])
    assert fault is not None
    assert fault.status == status
    assert fault.sentence == f"/logs cannot be written to: {os.strerror(number)}."


def test_a_directory_that_is_gone(tmp_path: Path) -> None:
    """It is the machine's trouble, too: no job can be run without it."""
    fault = check_writable([tmp_path / "gone"])
    assert (fault and fault.status) == "disk-error"


def test_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that cannot be started shows that there are none."""
    assert check_tasks() is None

    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    fault = check_tasks()
    assert (fault and fault.status) == "no-tasks"


HEADER = "  sl  local_address rem_address   st tx_queue ...\n"
LINE = "   0: {local} 00000000:0000 {state} 0:0 0:0 0 0 0 77 1 0 100 0 0 10 0\n"


@pytest.mark.parametrize(
    ("table", "lines", "address", "found"),
    [
        ("tcp", [("0100007F:270F", "0A")], ("127.0.0.1", 9999), True),
        ("tcp", [("0100007F:2710", "0A"), ("00000000:270F", "0A")], ("127.0.0.1", 9999), True),
        ("tcp", [("0100007F:2710", "0A")], ("127.0.0.1", 9999), False),
        ("tcp", [("0200007F:270F", "0A")], ("127.0.0.1", 9999), False),
        ("tcp", [("0100007F:270F", "06")], ("127.0.0.1", 9999), False),
        ("tcp6", [("0" * 32 + ":270F", "0A")], ("127.0.0.1", 9999), True),
        ("tcp6", [("0" * 32 + ":270F", "0A")], ("::1", 9999), True),
        ("tcp", [], ("127.0.0.1", 9999), False),
    ],
)
def test_who_listens(
    tmp_path: Path,
    table: str,
    lines: list[tuple[str, str]],
    address: tuple[str, int],
    found: bool,
) -> None:
    """A listener on the address, or on every one of this host, has the port."""
    net = tmp_path / "self" / "net"
    net.mkdir(parents=True)
    text = HEADER + "".join(LINE.format(local=local, state=state) for local, state in lines)
    (net / table).write_text(text)
    assert peer_check.has_listener(peer_check.endpoint(*address), tmp_path) is found


def test_the_rpc_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port in use and an unknown name are faults that name the address."""
    asked: list[peer_check.Endpoint] = []

    def has_listener(end: peer_check.Endpoint) -> bool:
        asked.append(end)
        return end[1] == 9999

    monkeypatch.setattr(peer_check, "has_listener", has_listener)
    assert check_rpc_port("127.0.0.1", 9998) is None
    fault = check_rpc_port("127.0.0.1", 9999)
    assert fault is not None
    assert (fault.status, "127.0.0.1:9999" in fault.sentence) == ("rpc-port-busy", True)

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    fault = check_rpc_port("nowhere", 9999)
    assert fault is not None
    assert (fault.status, "nowhere" in fault.sentence) == ("rpc-address", True)


class Checked:
    """Checks with a given outcome."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.found: HostFault | None = None
        self.in_thread: Callable[..., Deferred[HostFault | None]] = maybeDeferred
        self.made = 0
        self.checks = HostChecks(
            (lambda: None, self._check), lambda *call: self.in_thread(*call), self.clock.seconds
        )

    def _check(self) -> HostFault | None:
        self.made += 1
        return self.found

    def check(self) -> list[HostFault | None]:
        outcomes: list[HostFault | None] = []
        self.checks.check().addCallback(outcomes.append)
        return outcomes


def test_what_is_found_is_kept_until_the_next_check() -> None:
    """`/health` asks at any time."""
    checked = Checked()
    assert checked.check() == [None]
    checked.found = FAULT
    assert checked.checks.fault is None
    assert checked.check() == [FAULT]
    assert checked.checks.fault == FAULT
    checked.found = None
    assert checked.check() == [None]
    assert checked.checks.fault is None


def test_checks_under_way_are_waited_for() -> None:
    """Calls share the current checks; a cancelled call gets no outcome."""
    checked = Checked()
    thread: Deferred[None] = Deferred()
    checked.in_thread = lambda function: thread.addCallback(lambda _: function())
    first, second = checked.check(), checked.check()
    third = checked.checks.check()
    third.addErrback(lambda _: None)
    third.cancel()
    checked.found = FAULT
    thread.callback(None)
    assert (first, second, checked.made) == ([FAULT], [FAULT], 1)


def test_checks_that_hang() -> None:
    """After a while that is a fault itself; when they end, what they found counts."""
    checked = Checked()
    thread: Deferred[None] = Deferred()
    checked.in_thread = lambda function: thread.addCallback(lambda _: function())
    checked.check()
    checked.clock.advance(SLOW_SECONDS)
    assert checked.checks.fault is None
    checked.clock.advance(1)
    fault = checked.checks.fault
    assert (fault and fault.status) == "slow-disk"
    thread.callback(None)
    assert checked.checks.fault is None


def test_checks_that_cannot_be_made() -> None:
    """If no thread can be started, that is the fault."""
    checked = Checked()

    def fail(_: object) -> Deferred[HostFault | None]:
        raise RuntimeError("can't start new thread")

    checked.in_thread = fail
    checked.check()
    fault = checked.checks.fault
    assert (fault and fault.status) == "no-tasks"
    checked.in_thread = maybeDeferred
    assert checked.check() == [None]
