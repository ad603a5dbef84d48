"""The process protocol: in which order a watcher hears of what Twisted reports in any order."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.python.failure import Failure

from goloagent.sandbox.isolation import Cgroup, PidNamespace, ProcessGroup
from goloagent.sandbox.launcher import EXECUTING, STATUS_FD
from goloagent.sandbox.pid_namespace import END_ALL, EXIT_FD, wrap
from goloagent.sandbox.process import LoadTestProcess, Program, Watcher, spawn

PID = 4_000_000  # above the kernel's largest
DONE = Failure(ProcessDone(0))


class Heard(Watcher):
    """Keeps what it hears, in order."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def launched(self) -> None:
        self.events.append("launched")

    def launch_failed(self, sentence: str, host_status: str | None = None) -> None:
        self.events.append(("launch failed", sentence, host_status))

    def stdout(self, data: bytes) -> None:
        self.events.append(("stdout", data))

    def stderr(self, data: bytes) -> None:
        self.events.append(("stderr", data))

    def exited(self, code: int | None, signal_number: int | None) -> None:
        self.events.append(("exited", code, signal_number))

    def closed(self) -> None:
        self.events.append("closed")


class Transport:
    """A process transport with a pid and nothing behind it."""

    def __init__(self) -> None:
        self.pid: int | None = PID
        self.reading = True

    def loseConnection(self) -> None:
        self.reading = False


@pytest.fixture
def heard() -> Heard:
    """The watcher of the test."""
    return Heard()


@pytest.fixture
def process(heard: Heard) -> LoadTestProcess:
    """A process that has just been made."""
    process = LoadTestProcess(heard, ProcessGroup(), "job")
    process.makeConnection(Transport())
    return process


@pytest.fixture(autouse=True)
def signals(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Keep the signals that are sent, in place of sending them."""
    sent: list[tuple[str, int]] = []

    class FakeLeader:
        def __init__(self, pid: int, mark: str) -> None:
            self.pid = pid

        def signal(self, number: int) -> None:
            sent.append(("process", number))

        def signal_group(self, number: int) -> None:
            sent.append(("group", number))

        def close(self) -> None:
            sent.append(("close", 0))

    monkeypatch.setattr("goloagent.sandbox.process.Leader", FakeLeader)
    return sent


def launched(process: LoadTestProcess) -> None:
    """Have the launcher execute the program."""
    process.childDataReceived(STATUS_FD, EXECUTING)
    process.childConnectionLost(STATUS_FD)


def test_a_whole_life(process: LoadTestProcess, heard: Heard) -> None:
    """The launcher's pipe closing says that the program runs; output goes on as it comes."""
    launched(process)
    process.childDataReceived(1, b"out")
    process.childDataReceived(2, b"err")
    process.childConnectionLost(1)
    process.childConnectionLost(2)
    process.processExited(DONE)
    process.processEnded(DONE)
    assert heard.events == [
        "launched",
        ("stdout", b"out"),
        ("stderr", b"err"),
        ("exited", 0, None),
        "closed",
    ]


def test_an_exit_before_the_launch_is_known(process: LoadTestProcess, heard: Heard) -> None:
    """An exit noticed first is told after how the launch went: the first reason is the better."""
    process.processExited(Failure(ProcessTerminated(127)))
    assert heard.events == []
    report = json.dumps({"step": "exec", "errno": 2, "error": "No such file or directory"})
    process.childDataReceived(STATUS_FD, report[:10].encode())
    process.childDataReceived(STATUS_FD, report[10:].encode())
    process.childConnectionLost(STATUS_FD)
    process.processEnded(Failure(ProcessTerminated(127)))
    assert heard.events == [
        ("launch failed", "exec: No such file or directory (errno 2)", None),
        ("exited", 127, None),
        "closed",
    ]


def test_an_exit_by_signal(process: LoadTestProcess, heard: Heard) -> None:
    """A process that a signal ended has no exit code."""
    launched(process)
    process.processExited(Failure(ProcessTerminated(None, signal.SIGABRT, 6)))
    assert heard.events[-1] == ("exited", None, signal.SIGABRT)


@pytest.fixture
def contained(heard: Heard) -> LoadTestProcess:
    """A process in a PID namespace that has just been made."""
    process = LoadTestProcess(heard, PidNamespace(), "job")
    process.makeConnection(Transport())
    return process


@pytest.mark.parametrize(
    ("status", "exited"),
    [(b"0", ("exited", 0, None)), (b"768", ("exited", 3, None)), (b"6", ("exited", None, 6))],
)
@pytest.mark.parametrize("keeper_first", [False, True])
def test_an_exit_in_a_namespace(
    contained: LoadTestProcess,
    heard: Heard,
    status: bytes,
    exited: tuple[Any, ...],
    keeper_first: bool,
) -> None:
    """The load test's own end is told, and at once: its keeper's, before or after, is not."""
    launched(contained)
    if keeper_first:
        contained.processExited(DONE)
    assert heard.events == ["launched"]
    contained.childDataReceived(EXIT_FD, status)
    contained.childConnectionLost(EXIT_FD)
    assert heard.events == ["launched", exited]
    if not keeper_first:
        contained.processExited(DONE)
    contained.processEnded(DONE)
    assert heard.events == ["launched", exited, "closed"]


def test_a_namespace_that_is_killed(contained: LoadTestProcess, heard: Heard) -> None:
    """When nobody could tell the load test's end, its keeper ended in the same way."""
    killed = Failure(ProcessTerminated(None, signal.SIGKILL, 9))
    contained.childConnectionLost(EXIT_FD)
    launched(contained)
    contained.processExited(killed)
    assert heard.events == ["launched", ("exited", None, signal.SIGKILL)]


def test_signals_go_to_the_keeper(
    contained: LoadTestProcess, signals: list[tuple[str, int]]
) -> None:
    """The keeper passes both ends on to everything in its namespace."""
    contained.terminate()
    contained.kill()
    assert signals == [("process", signal.SIGTERM), ("process", END_ALL)]


def test_signals_go_to_the_group(process: LoadTestProcess, signals: list[tuple[str, int]]) -> None:
    """Both ends of a run reach all that the load test started; after the end nothing is."""
    process.terminate()
    process.kill()
    process.abandon_output()
    process.kill()
    assert signals == [("group", signal.SIGTERM), ("group", signal.SIGKILL), ("close", 0)]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"", "launcher-failed"),
        (b"{", "launcher-failed"),
        (b'{"step": "prepare", "errno": 11, "error": "x"}', "no-tasks"),
        (b'{"step": "make a PID namespace", "errno": 28, "error": "x"}', "no-tasks"),
        (b'{"step": "become user x", "errno": null, "error": "x"}', None),
        (EXECUTING + b'{"step": "exec", "errno": 11, "error": "x"}', "no-tasks"),
        (EXECUTING + b'{"step": "exec", "errno": 24, "error": "x"}', "no-descriptors"),
        (EXECUTING + b'{"step": "exec", "errno": 2, "error": "x"}', None),
        (EXECUTING + b'{"step": "exec", "errno": 5, "error": "x"}', None),
        (EXECUTING + b'{"step": "exec", "errno": 12, "error": "x"}', None),
    ],
)
def test_whose_fault_a_failed_launch_is(
    process: LoadTestProcess, heard: Heard, said: bytes, status: str | None
) -> None:
    """A launcher that ended without a word is the machine's, a program that is cut is not."""
    process.childDataReceived(STATUS_FD, said)
    process.childConnectionLost(STATUS_FD)
    [(event, _, told)] = heard.events
    assert (event, told) == ("launch failed", status)


def test_signals_before_there_is_a_process(heard: Heard, signals: list[tuple[str, int]]) -> None:
    """Nothing is signalled for a process that was never made."""
    LoadTestProcess(heard, ProcessGroup(), "job").terminate()
    assert signals == []


def test_abandoned_output(process: LoadTestProcess) -> None:
    """Pipes that another process has open are closed; the process ID stays known."""
    process.abandon_output()
    assert process.transport.reading is False
    assert process.pid == PID


class Spawner:
    """Keeps what was asked for, in place of a process."""

    def spawnProcess(self, protocol: Any, executable: str, args: list[str], **rest: Any) -> None:
        self.args = args
        self.plan = json.loads(args[-1])
        self.environment = rest["env"]
        self.descriptors = rest["childFDs"]
        self.null = str(Path(f"/proc/self/fd/{self.descriptors[0]}").readlink())
        self.directory = rest.get("path")


def test_spawn(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """The load test gets a few variables of the agent's, its own, and nothing else."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/secret")
    spawner = Spawner()
    program = Program(Path("/srv/1/loadtest"), Path("/srv/1"), "127.0.0.1:9999", "mark", "nobody")
    spawn(spawner, program, heard)
    assert spawner.environment == {
        "PATH": "/bin",
        "TZ": "UTC",
        "GOLO_RPC_ADDR": "127.0.0.1:9999",
        "GOLO_JOB": "mark",
        "PYTHONUNBUFFERED": "1",
        "HOME": "/srv/1",
        "TMPDIR": "/srv/1",
    }
    assert spawner.null == os.devnull
    assert {fd: kind for fd, kind in spawner.descriptors.items() if fd} == {
        1: "r",
        2: "r",
        STATUS_FD: "r",
    }
    assert spawner.plan["agent"] == os.getpid()
    assert spawner.plan["program"] == "/srv/1/loadtest"
    assert spawner.plan["user"] == "nobody"


def test_spawn_in_a_namespace(heard: Heard) -> None:
    """The launcher is run in the namespace, where its parent is the init, and tells its exit."""
    spawner = Spawner()
    program = Program(
        path=Path("/srv/1/loadtest"),
        directory=Path("/srv/1"),
        rpc_address="127.0.0.1:9999",
        mark="mark",
        containment=PidNamespace(),
        sdk=Path("/srv/sdk.zip"),
    )
    spawn(spawner, program, heard)
    assert spawner.environment["PYTHONPATH"] == "/srv/sdk.zip"
    assert spawner.args[:-5] == wrap(os.getpid(), [])
    assert spawner.plan["agent"] == 1
    assert {*spawner.descriptors} == {0, 1, 2, STATUS_FD, EXIT_FD}


def test_spawn_in_a_cgroup(heard: Heard, tmp_path: Path) -> None:
    """The launcher is told how to join a cgroup that is there, and is a child of the agent."""
    spawner = Spawner()
    program = Program(
        path=Path("/srv/job-1/loadtest"),
        directory=Path("/srv/job-1"),
        rpc_address="127.0.0.1:9999",
        mark="1-2/job-1",
        containment=Cgroup(tmp_path, "1-2/"),
    )
    spawn(spawner, program, heard)
    assert (tmp_path / "golo-agent-1-2-job-1").is_dir()
    assert spawner.plan["join"] == str(tmp_path / "golo-agent-1-2-job-1" / "cgroup.procs")
    assert spawner.plan["agent"] == os.getpid()
    assert {*spawner.descriptors} == {0, 1, 2, STATUS_FD}


def test_a_cgroup_that_cannot_be_made(heard: Heard, tmp_path: Path) -> None:
    """No process is made outside, where nothing would keep it."""
    containment = Cgroup(tmp_path / "gone", "1-2/")
    program = Program(Path("/srv/1/x"), Path("/srv/1"), "[::1]:1", "1-2/1", None, containment)
    with pytest.raises(FileNotFoundError):
        spawn(None, program, heard)


def test_signals_in_a_cgroup(heard: Heard, signals: list[tuple[str, int]], tmp_path: Path) -> None:
    """The group is asked to end, and the cgroup is ended as a whole."""
    job = tmp_path / "golo-agent-1-2-job"
    job.mkdir()
    (job / "cgroup.kill").touch()
    process = LoadTestProcess(heard, Cgroup(tmp_path, "1-2/"), "job")
    process.makeConnection(Transport())
    process.terminate()
    assert (job / "cgroup.kill").read_text() == ""
    process.kill()
    assert (job / "cgroup.kill").read_text() == "1"
    assert signals == [("group", signal.SIGTERM), ("group", signal.SIGKILL)]
