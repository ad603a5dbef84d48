"""The process of one load test: its launch, its output and its exit."""

from __future__ import annotations

import os
from typing import Protocol

from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IProcessTransport, IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from goloagent.sandbox import launcher
from goloagent.sandbox.cpu_use import CpuMeter
from goloagent.sandbox.isolation import IsolationBackend
from goloagent.sandbox.launch import launch_plan, parse_report
from goloagent.sandbox.pipe_reader import PipeReader
from goloagent.sandbox.program import Program, environment_of
from goloagent.sandbox.session_leader import SessionLeader
from goloagent.sandbox.task_limit import max_tasks

MAX_FILE_BYTES = 4 * 1024**3
_MAX_STATUS_BYTES = 4096


class Watcher(Protocol):
    """Receives the events of a load test's process, in this order."""

    def launched(self) -> None:
        """Handle that the program runs."""

    def launch_failed(self, sentence: str, host_status: str | None = None) -> None:
        """Handle that the program was not executed; `exited` follows.

        `host_status` is the name of a `HostFault` if the host is at fault.
        """

    def stdout(self, data: bytes) -> None:
        """Handle a block of stdout."""

    def stderr(self, data: bytes) -> None:
        """Handle a block of stderr."""

    def exited(self, code: int | None, signal_number: int | None) -> None:
        """Handle the exit; other processes of the load test may still hold the pipes."""

    def closed(self) -> None:
        """Handle that the process has exited and all pipes are read to their end."""


class LoadTestProcess(ProcessProtocol):
    """A load test's process, from `spawn` on.

    Attributes:
        pid: the process that was spawned, also after its end; all others descend from it.
    """

    transport: IProcessTransport
    pid: int

    def __init__(
        self, watcher: Watcher, backend: IsolationBackend, job_id: str, tag: str = ""
    ) -> None:
        self._watcher = watcher
        self._backend = backend
        self._job_id = job_id
        # The reports that must end before the exit is reported, as far as they are read.
        self._reports = dict.fromkeys(backend.report_fds, b"")
        self._exit: tuple[int | None, int | None] | None = None
        self._exit_is_reported = False
        self._tag = tag
        self._leader: SessionLeader | None = None
        self._stdout: PipeReader | None = None

    def connectionMade(self) -> None:
        """Open a pidfd of the process, which cannot be reaped yet."""
        assert self.transport.pid is not None
        self.pid = self.transport.pid
        self._leader = SessionLeader(self.pid, self._tag)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Forward output; collect reports."""
        if childFD == 1:
            self._watcher.stdout(data)
        elif childFD == 2:
            self._watcher.stderr(data)
        else:
            self._reports[childFD] = (self._reports[childFD] + data)[:_MAX_STATUS_BYTES]

    def childConnectionLost(self, childFD: int) -> None:
        """Parse a report at its end."""
        report = self._reports.pop(childFD, None)
        if report is None:
            return
        if childFD == launcher.STATUS_FD:
            self._report_launch(report)
        elif report:
            code = os.waitstatus_to_exitcode(int(report))
            self._exit = (code, None) if code >= 0 else (None, -code)
        self._report_exit()

    def processExited(self, reason: Failure) -> None:
        """Report the exit, but after the launch."""
        if self._exit is None:
            error = reason.value
            assert isinstance(error, ProcessDone | ProcessTerminated)
            self._exit = (None if error.signal is not None else error.exitCode, error.signal)
        self._report_exit()

    def processEnded(self, reason: Failure) -> None:
        """Report the end of all output."""
        self._watcher.closed()

    def terminate(self) -> None:
        """Send SIGTERM to the load test, as its isolation backend does."""
        if self._leader is not None:
            self._backend.terminate(self._job_id, self._leader)

    def kill(self) -> None:
        """Send SIGKILL to the load test, as its isolation backend does."""
        if self._leader is not None:
            self._backend.kill(self._job_id, self._leader)

    @property
    def stdout_blocked_seconds(self) -> float:
        """How long the load test waited until now, at most, because its stdout was not read."""
        return 0.0 if self._stdout is None else self._stdout.blocked_seconds

    def cpu_meter(self) -> CpuMeter:
        """Return a meter of the load test's processes, which begins now."""
        return CpuMeter(self.pid)

    def set_stdout_reader(self, reader: PipeReader) -> None:
        """Set the reader of stdout."""
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
        """Read the present content of stdout's pipe, even if it is paused."""
        if self._stdout is not None:
            self._stdout.read_rest()

    def abandon_output(self) -> None:
        """Close the pipes, which a process outside of the isolation may hold open."""
        if self._leader is not None:
            self._leader.close()
            self._leader = None
        self.transport.loseConnection()

    def _report_launch(self, status: bytes) -> None:
        if status == launcher.EXECUTING:
            self._watcher.launched()
            return
        report = parse_report(status)
        self._watcher.launch_failed(report.sentence, report.host_status)

    def _report_exit(self) -> None:
        """Report the exit once, after the end of all reports."""
        if self._exit is not None and not self._reports and not self._exit_is_reported:
            self._exit_is_reported = True
            self._watcher.exited(*self._exit)


def spawn(reactor: IReactorProcess, program: Program, watcher: Watcher) -> LoadTestProcess:
    """Start `program`, and report its events to `watcher`.

    Raises:
        OSError: no process can be started.
    """
    plan = launch_plan(
        str(program.path),
        str(program.directory),
        program.user,
        MAX_FILE_BYTES,
        program.protected,
        max_tasks(),
    )
    command = list(map(os.fsencode, program.backend.command(program.job_id, plan)))
    command += [argument.encode() for argument in program.invocation.args]
    process = LoadTestProcess(watcher, program.backend, program.job_id, program.tag)
    with open(os.devnull, "rb") as null:  # noqa: PTH123
        pipes: dict[int, int | str] = {0: null.fileno(), 1: "r", 2: "r"}
        reactor.spawnProcess(
            process,
            command[0],
            command,
            env=environment_of(program),
            childFDs=pipes | dict.fromkeys(program.backend.report_fds, "r"),
        )
    process.set_stdout_reader(PipeReader(process.transport, 1))
    return process
