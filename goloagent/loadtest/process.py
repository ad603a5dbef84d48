"""The process of one load test: its start through the launcher, its output, its end.

Reports what happens to a `Watcher` and decides nothing. The launcher makes the process the leader
of a session and group of its own, so one signal reaches everything it started and did not send
away.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Protocol

import attrs
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IProcessTransport, IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from goloagent.loadtest import launcher

MAX_FILE_BYTES = 4 * 1024**3
_MAX_STATUS_BYTES = 4096
# What a load test may know of the agent's own environment.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ")


class Watcher(Protocol):
    """Is told what happens to a load test's process: each once, in this order."""

    def launched(self) -> None:
        """The program runs."""

    def launch_failed(self, sentence: str) -> None:
        """The program could not be executed; the process ends next."""

    def stdout(self, data: bytes) -> None:
        """Take what it printed."""

    def stderr(self, data: bytes) -> None:
        """Take what it complained."""

    def exited(self, code: int | None, signal_number: int | None) -> None:
        """The process has ended; what it started may still hold its pipes."""

    def closed(self) -> None:
        """It has ended and every pipe is read to its end."""


@attrs.frozen
class Program:
    """What to run: an executable in a directory of its own, as a user (None: the agent's)."""

    path: Path
    directory: Path
    rpc_address: str
    user: str | None = None


class LoadTestProcess(ProcessProtocol):
    """A load test's process, from `spawn` on."""

    transport: IProcessTransport

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._status = b""
        self._launching = True
        self._exit: Failure | None = None
        self._pid: int | None = None

    def connectionMade(self) -> None:
        """Note the process, which is also the group, to signal."""
        self._pid = self.transport.pid

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Hand output on; keep what the launcher says."""
        if childFD == 1:
            self._watcher.stdout(data)
        elif childFD == 2:
            self._watcher.stderr(data)
        else:
            self._status = (self._status + data)[:_MAX_STATUS_BYTES]

    def childConnectionLost(self, childFD: int) -> None:
        """Learn from the end of the launcher's pipe how the launch went."""
        if childFD != launcher.STATUS_FD:
            return
        self._launching = False
        if self._status:
            status = json.loads(self._status)
            self._watcher.launch_failed(
                f"{status['step']}: {status['error']} (errno {status['errno']})"
            )
        else:
            self._watcher.launched()
        if self._exit is not None:
            self._tell_exit(self._exit)

    def processExited(self, reason: Failure) -> None:
        """Tell the exit at once, but not before how the launch went."""
        if self._launching:
            self._exit = reason
        else:
            self._tell_exit(reason)

    def processEnded(self, reason: Failure) -> None:
        """Tell the end of all output."""
        self._watcher.closed()

    def terminate(self) -> None:
        """Ask everything in the group to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End everything in the group."""
        self._signal(signal.SIGKILL)

    def abandon_output(self) -> None:
        """Stop reading pipes that a process outside the group holds open."""
        self.transport.loseConnection()

    def _tell_exit(self, reason: Failure) -> None:
        error = reason.value
        assert isinstance(error, ProcessDone | ProcessTerminated)
        code = None if error.signal is not None else error.exitCode
        self._watcher.exited(code, error.signal)

    def _signal(self, number: signal.Signals) -> None:
        if self._pid is None:
            return
        try:
            os.killpg(self._pid, number)
        except ProcessLookupError:
            # No such group: either nothing of it is left, or the launcher has not made it yet.
            if self.transport.pid is not None:
                os.kill(self.transport.pid, number)


def spawn(reactor: IReactorProcess, program: Program, watcher: Watcher) -> LoadTestProcess:
    """Start `program`; the watcher hears of everything that follows.

    Raises:
        OSError: no process can be made.
    """
    plan = {
        "agent": os.getpid(),
        "program": str(program.path),
        "directory": str(program.directory),
        "user": program.user,
        "max_file_bytes": MAX_FILE_BYTES,
    }
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    environment |= {
        "GOLO_RPC_ADDR": program.rpc_address,
        "HOME": str(program.directory),
        "TMPDIR": str(program.directory),
    }
    process = LoadTestProcess(watcher)
    with open(os.devnull, "rb") as null:  # noqa: PTH123
        reactor.spawnProcess(
            process,
            sys.executable,
            [sys.executable, "-I", "-S", launcher.__file__, json.dumps(plan)],
            env=environment,
            childFDs={0: null.fileno(), 1: "r", 2: "r", launcher.STATUS_FD: "r"},
        )
    return process
