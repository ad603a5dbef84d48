"""The order of the events that a watcher receives, and how a load test is spawned."""

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
from goloagent.sandbox.pid_namespace import EXIT_FD, KILL_ALL, wrap
from goloagent.sandbox.process import LoadTestProcess, Watcher, spawn
from goloagent.sandbox.program import Invocation, Program

PID = 4_000_000  # above the kernel's maximum
DONE = Failure(ProcessDone(0))


class RecordingWatcher(Watcher):
    """Records its events in order."""

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
    """A process transport without a process."""

    def __init__(self) -> None:
        self.pid: int | None = PID
        self.reading = True

    def loseConnection(self) -> None:
        self.reading = False


@pytest.fixture
def watcher() -> RecordingWatcher:
    """Return the watcher of a process."""
    return RecordingWatcher()


@pytest.fixture
def process(watcher: RecordingWatcher) -> LoadTestProcess:
    """Return a process in a process group, just spawned."""
    process = LoadTestProcess(watcher, ProcessGroup(), "job")
    process.makeConnection(Transport())
    return process


@pytest.fixture(autouse=True)
def signals(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Return the signals that are sent to the leader."""
    sent: list[tuple[str, int]] = []

    class FakeLeader:
        def __init__(self, pid: int, tag: str) -> None:
            self.pid = pid

        def signal(self, number: int) -> None:
            sent.append(("process", number))

        def signal_group(self, number: int) -> None:
            sent.append(("group", number))

        def close(self) -> None:
            sent.append(("close", 0))

    monkeypatch.setattr("goloagent.sandbox.process.SessionLeader", FakeLeader)
    return sent


def launched(process: LoadTestProcess) -> None:
    """Report that the launcher executes the program."""
    process.childDataReceived(STATUS_FD, EXECUTING)
    process.childConnectionLost(STATUS_FD)


def test_events_in_order(process: LoadTestProcess, watcher: RecordingWatcher) -> None:
    """The end of the launcher's pipe means that the program runs; output is forwarded."""
    launched(process)
    process.childDataReceived(1, b"out")
    process.childDataReceived(2, b"err")
    process.childConnectionLost(1)
    process.childConnectionLost(2)
    process.processExited(DONE)
    process.processEnded(DONE)
    assert watcher.events == [
        "launched",
        ("stdout", b"out"),
        ("stderr", b"err"),
        ("exited", 0, None),
        "closed",
    ]


def test_the_exit_follows_the_launch_report(
    process: LoadTestProcess, watcher: RecordingWatcher
) -> None:
    """An exit that Twisted reports first is reported after the failed launch."""
    process.processExited(Failure(ProcessTerminated(127)))
    assert watcher.events == []
    report = json.dumps({"step": "exec", "errno": 2, "error": "No such file or directory"})
    process.childDataReceived(STATUS_FD, report[:10].encode())
    process.childDataReceived(STATUS_FD, report[10:].encode())
    process.childConnectionLost(STATUS_FD)
    process.processEnded(Failure(ProcessTerminated(127)))
    assert watcher.events == [
        ("launch failed", "exec: No such file or directory (errno 2)", None),
        ("exited", 127, None),
        "closed",
    ]


def test_an_exit_by_signal(process: LoadTestProcess, watcher: RecordingWatcher) -> None:
    """A process that a signal killed has no exit code."""
    launched(process)
    process.processExited(Failure(ProcessTerminated(None, signal.SIGABRT, 6)))
    assert watcher.events[-1] == ("exited", None, signal.SIGABRT)


@pytest.fixture
def isolated(watcher: RecordingWatcher) -> LoadTestProcess:
    """Return a process in a PID namespace, just spawned."""
    process = LoadTestProcess(watcher, PidNamespace(), "job")
    process.makeConnection(Transport())
    return process


@pytest.mark.parametrize(
    ("status", "exited"),
    [(b"0", ("exited", 0, None)), (b"768", ("exited", 3, None)), (b"6", ("exited", None, 6))],
)
@pytest.mark.parametrize("monitor_first", [False, True])
def test_an_exit_in_a_namespace(
    isolated: LoadTestProcess,
    watcher: RecordingWatcher,
    status: bytes,
    exited: tuple[Any, ...],
    monitor_first: bool,
) -> None:
    """The exit of the load test is reported at once; that of the monitor is not."""
    launched(isolated)
    if monitor_first:
        isolated.processExited(DONE)
    assert watcher.events == ["launched"]
    isolated.childDataReceived(EXIT_FD, status)
    isolated.childConnectionLost(EXIT_FD)
    assert watcher.events == ["launched", exited]
    if not monitor_first:
        isolated.processExited(DONE)
    isolated.processEnded(DONE)
    assert watcher.events == ["launched", exited, "closed"]


def test_a_namespace_that_is_killed(isolated: LoadTestProcess, watcher: RecordingWatcher) -> None:
    """If the load test's exit is not reported, the monitor's counts: it exits in the same way."""
    killed = Failure(ProcessTerminated(None, signal.SIGKILL, 9))
    isolated.childConnectionLost(EXIT_FD)
    launched(isolated)
    isolated.processExited(killed)
    assert watcher.events == ["launched", ("exited", None, signal.SIGKILL)]


def test_signals_go_to_the_monitor(
    isolated: LoadTestProcess, signals: list[tuple[str, int]]
) -> None:
    """The monitor forwards both signals to its namespace."""
    isolated.terminate()
    isolated.kill()
    assert signals == [("process", signal.SIGTERM), ("process", KILL_ALL)]


def test_signals_go_to_the_group(process: LoadTestProcess, signals: list[tuple[str, int]]) -> None:
    """Both signals go to the group; after `abandon_output` none is sent."""
    process.terminate()
    process.kill()
    process.abandon_output()
    process.kill()
    assert signals == [("group", signal.SIGTERM), ("group", signal.SIGKILL), ("close", 0)]


@pytest.mark.parametrize(
    ("report", "expected"),
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
def test_host_status_of_a_failed_launch(
    process: LoadTestProcess, watcher: RecordingWatcher, report: bytes, expected: str | None
) -> None:
    """A launcher without a report is the host's fault, a damaged program is not."""
    process.childDataReceived(STATUS_FD, report)
    process.childConnectionLost(STATUS_FD)
    [(event, _, status)] = watcher.events
    assert (event, status) == ("launch failed", expected)


def test_signals_before_there_is_a_process(
    watcher: RecordingWatcher, signals: list[tuple[str, int]]
) -> None:
    """A process that was never spawned gets no signal."""
    LoadTestProcess(watcher, ProcessGroup(), "job").terminate()
    assert signals == []


def test_abandon_output(process: LoadTestProcess) -> None:
    """The pipes are closed; the process ID stays known."""
    process.abandon_output()
    assert process.transport.reading is False
    assert process.pid == PID


class Spawner:
    """A reactor that records the process to spawn."""

    def spawnProcess(
        self, protocol: Any, executable: bytes, args: list[bytes], **rest: Any
    ) -> None:
        assert executable == args[0]
        self.args = [*map(os.fsdecode, args)]
        plan = next(argument for argument in self.args if argument.startswith("{"))
        self.plan = json.loads(plan)
        self.given = self.args[self.args.index(plan) + 1 :]
        self.environment = {
            os.fsdecode(name): os.fsdecode(value) for name, value in rest["env"].items()
        }
        self.descriptors = rest["childFDs"]
        self.null = str(Path(f"/proc/self/fd/{self.descriptors[0]}").readlink())
        self.directory = rest.get("path")


def test_spawn(watcher: RecordingWatcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """The load test gets some variables of the agent, its own, and no others."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/secret")
    spawner = Spawner()
    program = Program(Path("/srv/1/loadtest"), Path("/srv/1"), "127.0.0.1:9999", "tag", "nobody")
    spawn(spawner, program, watcher)
    assert spawner.environment == {
        "PATH": "/bin",
        "TZ": "UTC",
        "GOLO_RPC_ADDR": "127.0.0.1:9999",
        "GOLO_JOB": "tag",
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


def test_the_input_of_a_program(watcher: RecordingWatcher) -> None:
    """Its arguments follow the plan; variables of the client are marked for the launcher."""
    spawner = Spawner()
    invocation = Invocation(
        ("{}", "-c"), {"GOLO_USERS": "3"}, {"TOKEN": "s3cret", "PATH": "/x"}, has_rpc=False
    )
    program = Program(
        Path("/srv/1/loadtest"), Path("/srv/1"), "127.0.0.1:9999", "tag", invocation=invocation
    )
    spawn(spawner, program, watcher)
    assert spawner.given == ["{}", "-c"]
    assert "s3cret" not in str(spawner.args)
    assert spawner.environment["GOLO_USERS"] == "3"
    assert spawner.environment["GOLO_GIVEN_TOKEN"] == "s3cret"
    assert spawner.environment["GOLO_GIVEN_PATH"] == "/x"
    assert spawner.environment["PATH"] != "/x"
    assert "GOLO_RPC_ADDR" not in spawner.environment


def test_spawn_in_a_namespace(watcher: RecordingWatcher) -> None:
    """The launcher runs in the namespace, where its parent is the init."""
    spawner = Spawner()
    program = Program(
        path=Path("/srv/1/loadtest"),
        directory=Path("/srv/1"),
        rpc_address="127.0.0.1:9999",
        tag="tag",
        backend=PidNamespace(),
        sdk=Path("/srv/sdk.zip"),
    )
    spawn(spawner, program, watcher)
    assert spawner.environment["PYTHONPATH"] == "/srv/sdk.zip"
    assert spawner.args[:-5] == wrap(os.getpid(), [])
    assert spawner.plan["agent"] == 1
    assert {*spawner.descriptors} == {0, 1, 2, STATUS_FD, EXIT_FD}


def test_spawn_in_a_cgroup(watcher: RecordingWatcher, tmp_path: Path) -> None:
    """The plan has the file to join the cgroup; the launcher is a child of the agent."""
    spawner = Spawner()
    program = Program(
        path=Path("/srv/job-1/loadtest"),
        directory=Path("/srv/job-1"),
        rpc_address="127.0.0.1:9999",
        tag="1-2/job-1",
        backend=Cgroup(tmp_path, "1-2/"),
    )
    spawn(spawner, program, watcher)
    assert (tmp_path / "golo-agent-1-2-job-1").is_dir()
    assert spawner.plan["join"] == str(tmp_path / "golo-agent-1-2-job-1" / "cgroup.procs")
    assert spawner.plan["agent"] == os.getpid()
    assert {*spawner.descriptors} == {0, 1, 2, STATUS_FD}


def test_a_cgroup_that_cannot_be_created(watcher: RecordingWatcher, tmp_path: Path) -> None:
    """No process is started outside of a cgroup."""
    backend = Cgroup(tmp_path / "gone", "1-2/")
    program = Program(Path("/srv/1/x"), Path("/srv/1"), "[::1]:1", "1-2/1", None, backend)
    with pytest.raises(FileNotFoundError):
        spawn(None, program, watcher)


def test_signals_in_a_cgroup(
    watcher: RecordingWatcher, signals: list[tuple[str, int]], tmp_path: Path
) -> None:
    """SIGTERM goes to the group, and SIGKILL to the whole cgroup too."""
    job = tmp_path / "golo-agent-1-2-job"
    job.mkdir()
    (job / "cgroup.kill").touch()
    process = LoadTestProcess(watcher, Cgroup(tmp_path, "1-2/"), "job")
    process.makeConnection(Transport())
    process.terminate()
    assert (job / "cgroup.kill").read_text() == ""
    process.kill()
    assert (job / "cgroup.kill").read_text() == "1"
    assert signals == [("group", signal.SIGTERM), ("group", signal.SIGKILL)]
