"""The sink that feeds a command: results on its stdin, the number of those that it has taken back.

Each result is a line of JSON, in an object with its labels, as in a file of JSON lines. Each line
that the command prints is a number: how many results this process has taken in all. A batch is
delivered when all its results are taken. A command that ends, or takes nothing in time, is started
again with the next attempt, and gets the results from the last one taken on.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from goloagent.core.output_setting import OutputSetting
from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.registry import SinkContext
from goloagent.outputs.sink import BatchLimits, Response
from goloagent.outputs.sinks.append_file import MAX_JOBS, mode_of
from goloagent.outputs.sinks.rows import objects_of

STOP_SECONDS = 5.0
"""From the end of its stdin to SIGKILL."""

MAX_STDERR_LINES = 100
"""Logged lines, until a process has taken a result and another one is started."""

_MAX_LINE_BYTES = 200
_MAX_SHOWN_BYTES = 60

_PLAIN = re.compile(r"[\w/.+,:@%-]+")

# The codes of a shell.
_REMEDIES = {
    126: "the shell may not execute it: make the program executable",
    127: "the shell does not find it, or a program that it calls: correct the command",
}


class Command(ProcessProtocol):
    """One process of the command.

    Attributes:
        taken: the number of results that it has taken.
        is_wrong: the shell could not start it.
        ended: fires with a sentence when the process has ended.
    """

    transport: IProcessTransport

    def __init__(self, changed: Callable[[], None], log_line: Callable[[str], None]) -> None:
        self._changed = changed
        self._log_line = log_line
        self.taken = self.written = 0
        self.error: str | None = None
        self.is_wrong = False
        self.ended: Deferred[None] = Deferred()
        self._stdout = self._stderr = b""
        self._has_exited = False

    def outReceived(self, data: bytes) -> None:
        """Read numbers."""
        *lines, self._stdout = (self._stdout + data).split(b"\n")
        for line in lines:
            self._count(line.strip())
        if len(self._stdout) > _MAX_LINE_BYTES:
            self._count(self._stdout)
        self._changed()

    def errReceived(self, data: bytes) -> None:
        """Log lines."""
        *lines, self._stderr = (self._stderr + data)[-(1 << 16) :].split(b"\n")
        for line in lines:
            self._log_line(line[:_MAX_LINE_BYTES].decode("utf-8", "replace"))

    def processExited(self, reason: Failure) -> None:
        """Note how it has ended, whether or not a child of it holds its pipes."""
        error: Any = reason.value
        how = f"by {error.signal}" if error.signal is not None else f"with code {error.exitCode}"
        remedy = _REMEDIES.get(error.exitCode, "the agent's log has the lines of its stderr")
        self.is_wrong = error.exitCode in _REMEDIES and self.error is None
        self.error = self.error or f"the command ended {how}; {remedy}"
        self._has_exited = True
        self._changed()
        self.ended.callback(None)

    def write(self, lines: list[bytes]) -> None:
        """Send results."""
        self.written += len(lines)
        self.transport.write(b"".join(line + b"\n" for line in lines))

    def fail(self, error: str) -> None:
        """End it at once."""
        self.error = self.error or error
        if not self._has_exited:
            self._kill()
        self._changed()

    def _kill(self) -> None:
        """End the session of the shell, with all that it has started."""
        try:
            os.killpg(self.transport.pid, signal.SIGKILL)
        except ProcessLookupError:  # it has no session yet
            self.transport.signalProcess("KILL")
        self.transport.loseConnection()

    def _count(self, line: bytes) -> None:
        is_count = line.isdigit() and len(line) < 20
        if not is_count or not self.taken <= int(line) <= self.written:
            text = line[:_MAX_SHOWN_BYTES].decode("utf-8", "replace")
            remedy = "it must print how many results it has taken since its start"
            self.fail(f"the command printed {text!r}; {remedy}")
        else:
            self.taken = int(line)


@attrs.define
class ExecSink:
    """The process of `command`, a line for the shell."""

    url: str
    label: str
    command: str
    seconds: float
    reactor: Any
    limits: BatchLimits = attrs.field(factory=BatchLimits)
    _log = Logger()
    _process: Command | None = attrs.field(init=False, default=None)
    _waiting: Deferred[None] | None = attrs.field(init=False, default=None)
    _lines_left: int = attrs.field(init=False, default=MAX_STDERR_LINES)
    # The ordinals up to which results were taken, of runs with a part of a batch taken.
    _places: dict[str, int] = attrs.field(init=False, factory=dict)

    async def send(self, run: RunLabels, batch: Batch, ordinal: int) -> Response:
        """Write the results that are not taken yet, and wait until all are."""
        begin = max(ordinal, self._places.get(run.job, 0))
        lines = objects_of(run, batch, ordinal)[begin - ordinal :]
        try:
            process = self._ready_process()
        except OSError as error:  # the agent has no descriptor left, or the host no task
            return Response(error=f"the command cannot be started: {error.strerror}")
        before = process.taken
        process.write(lines)
        try:
            while process.taken < process.written and process.error is None:
                await self._change(process)
        except CancelledError:
            process.fail("the agent stops")
            raise
        finally:
            self._note_place(run.job, begin + process.taken - before, ordinal + batch.results)
        if process.taken == process.written:
            return Response.delivered()
        assert process.error is not None
        return Response.wrong(process.error) if process.is_wrong else Response(error=process.error)

    def _note_place(self, job: str, place: int, end: int) -> None:
        """Note the ordinal up to which results were taken, unless it is the end of their batch."""
        self._places.pop(job, None)
        if place != end:
            self._places[job] = place
            if len(self._places) > MAX_JOBS:
                del self._places[next(iter(self._places))]

    async def check(self) -> str | None:
        """Return why its program cannot be started, if it is named by a path, or None."""
        word = self.command.split()[0]
        if not word.startswith("/") or not _PLAIN.fullmatch(word):
            return None
        if not mode_of(Path(word)):
            return f"there is no program {word}; correct the command"
        if not os.access(word, os.X_OK):
            return f"the agent's user may not execute {word}; make the program executable"
        return None

    async def close(self) -> None:
        """End its stdin, and the process if it does not end by itself."""
        process = self._process
        if process is None or process.ended.called:
            return
        process.transport.closeStdin()
        killing = self.reactor.callLater(STOP_SECONDS, process.fail, "it does not end")
        try:
            await process.ended
        except CancelledError:
            process.fail("the agent stops")  # nothing else would end it
            raise
        finally:
            if killing.active():
                killing.cancel()

    async def _change(self, process: Command) -> None:
        """Wait for a line of the process, or its end; end it if nothing comes."""
        self._waiting = Deferred()
        sentence = f"the command took no result within {self.seconds:g} s"
        timer = self.reactor.callLater(self.seconds, process.fail, sentence)
        try:
            await self._waiting
        finally:
            self._waiting = None
            if timer.active():
                timer.cancel()

    def _changed(self) -> None:
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.callback(None)

    def _log_line(self, text: str) -> None:
        """Log a line of stderr, but not all those of a command that fails at each attempt."""
        if self._lines_left:
            self._lines_left -= 1
            self._log.warn("{label}: stderr: {text}", label=self.label, text=text)

    def _ready_process(self) -> Command:
        if self._process is None or self._process.error is not None:
            if self._process is not None and self._process.taken:
                self._lines_left = MAX_STDERR_LINES
            process = Command(self._changed, self._log_line)
            shell = ["setsid", "/bin/sh", "-c", self.command]
            self.reactor.spawnProcess(process, shell[0], shell, env=dict(os.environ))
            self._process = process
        return self._process


def make(setting: OutputSetting, context: SinkContext) -> ExecSink:
    """Return the sink of an output ``exec:``."""
    label = f"output {setting.name}"
    seconds = setting.http.timeout_seconds
    return ExecSink(setting.shown, label, setting.target, seconds, context.reactor)
