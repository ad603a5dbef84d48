"""Checks of the host: writable directories, tasks, and a free RPC port.

They run every few seconds and before each run, in a worker thread. A check that hangs is a fault.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import attrs
from twisted.internet.defer import Deferred, maybeDeferred

from goloagent.core.host_fault import (
    DISK_ERROR,
    NO_TASKS,
    RPC_ADDRESS,
    RPC_PORT_BUSY,
    SLOW_DISK,
    HostFault,
    status_of,
)
from goloagent.sandbox import peer_check

CHECK_SECONDS = 2.0
SLOW_SECONDS = 30.0
_PROBE_BYTES = 4096


def check_writable(directories: Iterable[Path]) -> HostFault | None:
    """Write and remove a small file in each directory; return the fault, or None."""
    for directory in directories:
        try:
            with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
                file.write(bytes(_PROBE_BYTES))
        except OSError as error:
            sentence = f"{directory} cannot be written to: {error.strerror}."
            return HostFault(status_of(error) or DISK_ERROR, sentence)
    return None


def check_tasks() -> HostFault | None:
    """Start a thread; return the fault, or None."""
    try:
        thread = threading.Thread(target=int)
        thread.start()
    except (RuntimeError, MemoryError) as error:
        sentence = f"No thread or process can be started: {error}; raise the limit of tasks."
        return HostFault(status_of(error) or NO_TASKS, sentence)
    thread.join()
    return None


def check_rpc_port(host: str, port: int, is_running: bool = False) -> HostFault | None:
    """Check, without connecting, that no other program listens on the RPC address.

    While a load test `is_running`, it listens there itself.
    """
    if is_running:
        return None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        sentence = f"--rpc {host}: the name cannot be resolved: {error.strerror}."
        return HostFault(status_of(error) or RPC_ADDRESS, sentence)
    ends = [peer_check.endpoint(str(address[0]), port) for *_, address in found]
    if not any(map(peer_check.has_listener, ends)):
        return None
    sentence = f"Another program listens on the RPC address {host}:{port}; stop it."
    return HostFault(RPC_PORT_BUSY, sentence)


@attrs.define
class HostChecks:
    """Runs `checks` in order until the first fault, and stores it.

    Args:
        in_thread: runs a function in a worker thread.
        seconds: returns the monotonic time.
        slow_seconds: checks that take longer are a fault.
    """

    checks: tuple[Callable[[], HostFault | None], ...]
    in_thread: Callable[..., Awaitable[HostFault | None]]
    seconds: Callable[[], float]
    slow_seconds: float = SLOW_SECONDS
    _found: HostFault | None = None
    _since: float | None = None
    _waiting: list[Deferred[HostFault | None]] = attrs.Factory(list)

    @property
    def fault(self) -> HostFault | None:
        """The fault that the last checks found, or that the current ones do not end."""
        if self._since is not None and self.seconds() - self._since > self.slow_seconds:
            waited = self.seconds() - self._since
            what = "A check of the disks, or of the name in --rpc,"
            return HostFault(SLOW_DISK, f"{what} has not ended for {waited:.0f} s.")
        return self._found

    def check(self) -> Deferred[HostFault | None]:
        """Run the checks, or wait for the current ones; fires with the fault or None."""
        waiting: Deferred[HostFault | None] = Deferred(self._forget)
        self._waiting.append(waiting)
        if self._since is None:
            self._since = self.seconds()
            maybeDeferred(self.in_thread, self._check).addCallbacks(self._end, self._failed)
        return waiting

    def _check(self) -> HostFault | None:
        return next(filter(None, (check() for check in self.checks)), None)

    def _failed(self, failure: object) -> None:
        error = getattr(failure, "value", failure)
        assert isinstance(error, BaseException)
        self._end(
            HostFault(status_of(error) or DISK_ERROR, f"The host cannot be checked: {error}.")
        )

    def _end(self, found: HostFault | None) -> None:
        self._found, self._since = found, None
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(found)

    def _forget(self, waiting: Deferred[HostFault | None]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
