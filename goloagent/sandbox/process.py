"""The process of one load test: its start through the launcher, its output, its end.

Reports what happens to a `Watcher` and decides nothing. The launcher makes the process the leader
of a session and group of its own; how far an end reaches is for its `containment`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import attrs
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IProcessTransport, IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from goloagent.sandbox import launcher, orphans
from goloagent.sandbox.isolation import IsolationBackend, ProcessGroup, launch_plan, launch_report
from goloagent.sandbox.pipe_reader import PipeReader
from goloagent.sandbox.session_leader import Leader
from goloagent.sandbox.task_limit import max_tasks

MAX_FILE_BYTES = 4 * 1024**3
_MAX_STATUS_BYTES = 4096
# What a load test may know of the agent's own environment.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ")


class Watcher(Protocol):
    """Is told what happens to a load test's process: each once, in this order."""

    def launched(self) -> None:
        """The program runs."""

    def launch_failed(self, sentence: str, host_status: str | None = None) -> None:
        """The program could not be executed; the process ends next.

        With `host_status`, the name of a `HostFault`, it is the machine that did not allow it.
        """

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
    """What to run: an executable in a directory of its own, as a user (None: the agent's).

    ``mark`` is what `orphans` knows its processes by, ``closed`` what `launcher` keeps it from.
    ``sdk`` is where a program in Python finds ``goloagent.sdk``.
    """

    path: Path
    directory: Path
    rpc_address: str
    mark: str
    user: str | None = None
    containment: IsolationBackend = attrs.Factory(ProcessGroup)
    closed: Mapping[str, object] | None = None
    sdk: Path | None = None

    @property
    def job_id(self) -> str:
        """The job whose program it is."""
        return self.directory.name


class LoadTestProcess(ProcessProtocol):
    """A load test's process, from `spawn` on.

    Attributes:
        pid: the process that was spawned, also after its end; the others descend from it.
    """

    transport: IProcessTransport
    pid: int

    def __init__(
        self, watcher: Watcher, containment: IsolationBackend, job_id: str, mark: str = ""
    ) -> None:
        self._watcher = watcher
        self._containment = containment
        self._job_id = job_id
        # What must be known before an exit is told, and what its pipe has said so far.
        self._saying = dict.fromkeys(containment.reports, b"")
        self._exit: tuple[int | None, int | None] | None = None
        self._exit_told = False
        self._mark = mark
        self._leader: Leader | None = None
        self._stdout: PipeReader | None = None

    def connectionMade(self) -> None:
        """Hold the process, which is not reaped yet, to signal it and its group."""
        assert self.transport.pid is not None
        self.pid = self.transport.pid
        self._leader = Leader(self.pid, self._mark)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Hand output on; keep what is said about the launch and the exit."""
        if childFD == 1:
            self._watcher.stdout(data)
        elif childFD == 2:
            self._watcher.stderr(data)
        else:
            self._saying[childFD] = (self._saying[childFD] + data)[:_MAX_STATUS_BYTES]

    def childConnectionLost(self, childFD: int) -> None:
        """Learn from the end of a pipe how the launch went, or how the load test ended."""
        said = self._saying.pop(childFD, None)
        if said is None:
            return
        if childFD == launcher.STATUS_FD:
            self._tell_launch(said)
        elif said:
            code = os.waitstatus_to_exitcode(int(said))
            self._exit = (code, None) if code >= 0 else (None, -code)
        self._tell_exit()

    def processExited(self, reason: Failure) -> None:
        """Tell the exit at once, but not before how the launch went."""
        if self._exit is None:
            error = reason.value
            assert isinstance(error, ProcessDone | ProcessTerminated)
            self._exit = (None if error.signal is not None else error.exitCode, error.signal)
        self._tell_exit()

    def processEnded(self, reason: Failure) -> None:
        """Tell the end of all output."""
        self._watcher.closed()

    def terminate(self) -> None:
        """Ask what the containment reaches to end."""
        if self._leader is not None:
            self._containment.terminate(self._job_id, self._leader)

    def kill(self) -> None:
        """End what the containment reaches."""
        if self._leader is not None:
            self._containment.kill(self._job_id, self._leader)

    def reads_stdout_by(self, reader: PipeReader) -> None:
        """Note what reads stdout."""
        self._stdout = reader

    def pause_stdout(self) -> None:
        """Read no stdout until `resume_stdout`."""
        if self._stdout is not None:
            self._stdout.pause()

    def resume_stdout(self) -> None:
        """Read stdout again."""
        if self._stdout is not None:
            self._stdout.resume()

    def read_rest(self) -> None:
        """Read what is in the pipe of stdout now, though it is paused."""
        if self._stdout is not None:
            self._stdout.read_rest()

    def abandon_output(self) -> None:
        """Let go of the process, and of pipes that one outside the group holds open."""
        if self._leader is not None:
            self._leader.close()
            self._leader = None
        self.transport.loseConnection()

    def _tell_launch(self, said: bytes) -> None:
        if said == launcher.EXECUTING:
            self._watcher.launched()
            return
        report = launch_report(said)
        self._watcher.launch_failed(report.sentence, report.host_status)

    def _tell_exit(self) -> None:
        """Tell the exit once, when it is known and nothing better can be learnt."""
        if self._exit is not None and not self._saying and not self._exit_told:
            self._exit_told = True
            self._watcher.exited(*self._exit)


def spawn(reactor: IReactorProcess, program: Program, watcher: Watcher) -> LoadTestProcess:
    """Start `program`; the watcher hears of everything that follows.

    Raises:
        OSError: no process can be made.
    """
    told = launch_plan(
        str(program.path),
        str(program.directory),
        program.user,
        MAX_FILE_BYTES,
        program.closed,
        max_tasks(),
    )
    command = program.containment.command(program.job_id, told)
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    environment |= {
        "GOLO_RPC_ADDR": program.rpc_address,
        orphans.VARIABLE: program.mark,
        # Its results are due when they are printed, and not when 8 KiB of them have come together.
        "PYTHONUNBUFFERED": "1",
        "HOME": str(program.directory),
        "TMPDIR": str(program.directory),
    }
    if program.sdk is not None:
        environment["PYTHONPATH"] = str(program.sdk)
    process = LoadTestProcess(watcher, program.containment, program.job_id, program.mark)
    with open(os.devnull, "rb") as null:  # noqa: PTH123
        pipes: dict[int, int | str] = {0: null.fileno(), 1: "r", 2: "r"}
        reactor.spawnProcess(
            process,
            command[0],
            command,
            env=environment,
            childFDs=pipes | dict.fromkeys(program.containment.reports, "r"),
        )
    process.reads_stdout_by(PipeReader(process.transport, 1))
    return process
