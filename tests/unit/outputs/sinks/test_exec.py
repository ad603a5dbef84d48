"""Fake processes print counts and other lines, and end in each way."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from unit.outputs.world import results

from goloagent.core.output_parser import parse_option
from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.registry import SinkContext
from goloagent.outputs.sink import Disposition, Response
from goloagent.outputs.sinks import exec as exec_sink


@attrs.define
class Process:
    """A process, as Twisted shows it to the agent."""

    protocol: Any
    pid: int = 2**22 + 1  # larger than any
    written: bytes = b""
    is_killed: bool = False

    def write(self, data: bytes) -> None:
        self.written += data

    def signalProcess(self, signal: str) -> None:
        self.is_killed = True

    def loseConnection(self) -> None:
        """Close its pipes."""

    def exit(self, code: int) -> None:
        end = ProcessTerminated(exitCode=code) if code else ProcessDone(0)
        self.protocol.processExited(Failure(end))


class Reactor(Clock):
    """Starts fake processes."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[Process] = []
        self.is_exhausted = False

    def spawnProcess(self, protocol: Any, *args: Any, **options: Any) -> None:
        if self.is_exhausted:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        self.processes.append(Process(protocol))
        protocol.makeConnection(self.processes[-1])


@attrs.define
class World:
    """A sink of ``exec:store``, and the processes that it has started."""

    reactor: Reactor = attrs.field(factory=Reactor)
    sink: Any = None

    def __attrs_post_init__(self) -> None:
        self.sink = self.make("store")

    def make(self, command: str) -> Any:
        """Return the sink of a command."""
        context: Any = SinkContext(self.reactor, None, lambda *_: None)  # type: ignore[arg-type]
        return exec_sink.make(parse_option(f"mine=exec:{command}?timeout=9s"), context)

    @property
    def process(self) -> Process:
        return self.reactor.processes[-1]

    def send(self, first: int, count: int, job: str = "job") -> list[Response]:
        """Send results; the response is in the list once there is one."""
        text = results(count, first)
        run = RunLabels(job, "shop", job, "agent", tags={})
        found: list[Response] = []
        sent: Deferred[Response] = ensureDeferred(
            self.sink.send(run, Batch(first, first + len(text), text), first)
        )
        sent.addCallback(found.append)
        return found


@pytest.fixture
def world() -> World:
    """Return a sink without a process."""
    return World()


def test_numbers(world: World) -> None:
    """A batch is delivered when its last result is counted, in any number of numbers."""
    responses = world.send(0, 3)
    assert world.process.written.count(b"\n") == 3
    world.process.protocol.outReceived(b"1\n")
    world.reactor.advance(8)
    world.process.protocol.outReceived(b"3")
    assert not responses
    world.process.protocol.outReceived(b"\r\n")
    assert responses[0].disposition is Disposition.DELIVERED


def test_results_that_a_process_has_counted_are_not_sent_again(world: World) -> None:
    """The next process gets the others, and counts from zero."""
    [failed] = [world.send(0, 3)]
    world.process.protocol.outReceived(b"2\n")
    world.process.exit(1)
    assert failed[0].disposition is Disposition.RETRY
    assert "ended with code 1; the agent's log has the lines of its stderr" in str(failed[0])
    again = world.send(0, 3)
    assert b'"ordinal":2,' in world.process.written
    assert world.process.written.count(b"\n") == 1
    world.process.protocol.outReceived(b"1\n")
    assert again[0].disposition is Disposition.DELIVERED


def test_a_shorter_repeat(world: World) -> None:
    """It may end before what a process has counted; the next batch begins behind that."""
    world.send(0, 5)
    world.process.protocol.outReceived(b"4\n")
    world.process.exit(1)
    assert world.send(0, 2)[0].disposition is Disposition.DELIVERED
    world.send(2, 3)
    assert b'"ordinal":4,' in world.process.written
    assert world.process.written.count(b"\n") == 1


def test_another_run_between_two_attempts(world: World) -> None:
    """The sink knows for each run what a process has counted."""
    for job, taken in (("one", 2), ("two", 1)):
        world.send(0, 3, job)
        world.process.protocol.outReceived(b"%d\n" % taken)
        world.process.exit(1)
    for job, taken in (("one", 2), ("two", 1)):
        again = world.send(0, 3, job)
        assert world.process.written.count(b'"job":"%b"' % job.encode()) == 3 - taken
        world.process.protocol.outReceived(b"3\n" if job == "two" else b"1\n")
        assert again[0].disposition is Disposition.DELIVERED
    assert not world.sink._places


def test_a_process_that_cannot_be_started(world: World) -> None:
    """The agent has too many open files for a while; then the output goes on."""
    world.reactor.is_exhausted = True
    response = world.send(0, 1)[0]
    assert response.disposition is Disposition.RETRY
    assert str(response) == "the command cannot be started: Too many open files"
    ensureDeferred(world.sink.close())
    world.reactor.is_exhausted = False
    again = world.send(0, 1)
    world.process.protocol.outReceived(b"1\n")
    assert again[0].disposition is Disposition.DELIVERED


@pytest.mark.parametrize("printed", [b"3\n", b"-1\n", b"one\n", b"\n", b"1" * 300])
def test_what_is_no_count(world: World, printed: bytes) -> None:
    """It ends the process, and the error says what to print."""
    responses = world.send(0, 2)
    world.process.protocol.outReceived(printed)
    assert responses[0].disposition is Disposition.RETRY
    assert "it must print how many results it has taken since its start" in str(responses[0])
    assert len(str(responses[0])) < 200
    assert world.process.is_killed


def test_a_count_goes_back(world: World) -> None:
    """No process forgets results."""
    responses = world.send(0, 3)
    world.process.protocol.outReceived(b"2\n1\n")
    assert "printed '1'" in str(responses[0])


def test_a_process_that_takes_nothing(world: World) -> None:
    """It is killed after the time-out, which each number begins again."""
    responses = world.send(0, 3)
    world.reactor.advance(8)
    world.process.protocol.outReceived(b"1\n")
    world.reactor.advance(8)
    assert not responses
    world.reactor.advance(2)
    assert "took no result within 9 s" in str(responses[0])
    assert world.process.is_killed


@pytest.mark.parametrize(
    ("code", "part"),
    [(127, "the shell does not find it"), (126, "make the program executable")],
)
def test_a_command_that_the_shell_cannot_start(world: World, code: int, part: str) -> None:
    """The output is holding, because only an operator can correct it."""
    responses = world.send(0, 3)
    world.process.exit(code)
    assert responses[0].disposition is Disposition.PAUSE
    assert part in str(responses[0])


def test_lines_of_stderr(world: World) -> None:
    """A command that fails at each attempt does not fill the log."""
    logged: list[str] = []

    def observe(event: Any) -> None:
        if "stderr: " in event.get("log_format", ""):
            logged.append(event["text"])

    globalLogPublisher.addObserver(observe)
    try:
        for _ in range(150):
            world.send(0, 1)
            world.process.protocol.errReceived(b"no such ho")
            world.process.protocol.errReceived(b"st\n")
            world.process.exit(1)
        assert logged == ["no such host"] * exec_sink.MAX_STDERR_LINES
        world.send(0, 1)
        world.process.protocol.outReceived(b"1\n")
        world.process.exit(0)
        world.send(1, 1)
        world.process.protocol.errReceived(b"again\n")
        assert logged[-1] == "again"
    finally:
        globalLogPublisher.removeObserver(observe)


def test_a_program_by_its_path(world: World, tmp_path: Path) -> None:
    """The check at the start says that there is none, or that it is not executable."""
    found: list[str | None] = []
    program = tmp_path / "store"

    def check(command: str) -> str | None:
        ensureDeferred(world.make(command).check()).addCallback(found.append)
        return found[-1]

    assert check(f"{program} --to x") == f"there is no program {program}; correct the command"
    program.touch(0o644)
    assert f"may not execute {program}" in str(check(str(program)))
    program.chmod(0o755)
    assert check(f"{program} --to x") is None
    assert check("cd /nowhere && store") is None
    assert check("'/nowhere/a b'") is None
