"""The launcher's effects on real processes before they execute a load test."""

from __future__ import annotations

import errno
import json
import os
import pwd
import resource
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from goloagent.sandbox import landlock, launcher
from goloagent.sandbox.isolation import IsolationBackend
from goloagent.sandbox.process import LoadTestProcess, Watcher, spawn
from goloagent.sandbox.program import Invocation, Program
from goloagent.sandbox.session_leader import SessionLeader

# A load test that reports its own state.
REPORT = """\
import json, os, resource, signal
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
listed = [int(fd) for fd in os.listdir("/proc/self/fd")]  # and the listing's own, closed by now
print(json.dumps({
    "pid": os.getpid(), "sid": os.getsid(0), "pgid": os.getpgid(0),
    "fds": [fd for fd in sorted(listed) if os.path.exists(f"/proc/self/fd/{fd}")],
    "stdin": os.readlink("/proc/self/fd/0"),
    "blocked": status["SigBlk"], "ignored": status["SigIgn"],
    "no_new_privs": status["NoNewPrivs"].strip(), "groups": os.getgroups(),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
    "fsize": resource.getrlimit(resource.RLIMIT_FSIZE),
    "umask": os.umask(0), "cwd": os.getcwd(), "environ": dict(os.environ),
    "uid": os.getresuid(), "gid": os.getresgid(),
    "oom": int(open("/proc/self/oom_score_adj").read()),
}))
"""


SYSTEM_PYTHON = "/usr/bin/python3"
USUAL = Path(__file__).parents[1] / "loadtests" / "usual.py"


class Recording(Watcher):
    """Records the output and exit of a load test; `over` fires at its end."""

    def __init__(self) -> None:
        self.is_launched = False
        self.failure: str | None = None
        self.out = self.err = b""
        self.exit: tuple[int | None, int | None] | None = None
        self.launching: Deferred[None] = Deferred()
        self.over: Deferred[Recording] = Deferred()

    def launched(self) -> None:
        self.is_launched = True
        self.launching.callback(None)

    def launch_failed(self, sentence: str, host_status: str | None = None) -> None:
        self.failure = sentence

    def stdout(self, data: bytes) -> None:
        self.out += data

    def stderr(self, data: bytes) -> None:
        self.err += data

    def exited(self, code: int | None, signal_number: int | None) -> None:
        self.exit = (code, signal_number)

    def closed(self) -> None:
        self.over.callback(self)


class Launch:
    """Launches scripts in a directory."""

    def __init__(self, directory: Path, isolation: IsolationBackend) -> None:
        self.directory = directory
        self.isolation = isolation

    def start(
        self,
        text: str,
        user: str | None = None,
        interpreter: str = sys.executable,
        protected: Path | None = None,
        invocation: Invocation = Invocation(),  # noqa: B008
    ) -> Recording:
        """Launch a script with `text`."""
        path = self.directory / "loadtest"
        path.write_text(f"#!{interpreter}\n{text}", encoding="utf-8")
        path.chmod(0o755)
        recording = Recording()
        program = Program(
            path,
            self.directory,
            "127.0.0.1:9999",
            "state/job",
            user,
            self.isolation,
            None if protected is None else {"paths": [str(protected)], "readable": []},
            invocation=invocation,
        )
        self.process: LoadTestProcess = spawn(reactor, program, recording)
        return recording

    def clear(self) -> None:
        """End all processes."""
        self.isolation.cleanup(self.directory.name)

    async def report_of_load_test(self) -> dict[str, Any]:
        """Launch a load test that reports its own state."""
        recording = await self.start(REPORT).over
        assert (recording.is_launched, recording.exit, recording.err) == (True, (0, None), b""), (
            vars(recording)
        )
        report: dict[str, Any] = json.loads(recording.out)
        return report


@pytest.fixture
def launch(tmp_path: Path, isolation: IsolationBackend) -> Iterator[Launch]:
    """Launch load tests in the test's directory."""
    launch = Launch(tmp_path, isolation)
    yield launch
    launch.clear()


async def test_the_environment_of_a_load_test(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load test has its own session and group, no extra descriptors or privileges, and limits.

    This holds also if the agent has inheritable descriptors and variables.
    """
    monkeypatch.setenv("GOLO_SECRET", "token")
    inheritable = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(inheritable, True)
    try:
        report = await launch.report_of_load_test()
    finally:
        os.close(inheritable)
    assert report["pid"] == report["sid"] == report["pgid"]
    assert report["fds"] == [0, 1, 2]
    assert report["stdin"] == os.devnull
    assert report["no_new_privs"] == "1"
    assert report["core"] == [0, 0]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert report["nofile"] == [hard, hard]
    # The kernel kills the load test first when memory runs out.
    ours = int(Path("/proc/self/oom_score_adj").read_text())
    assert report["oom"] == min(1000, max(0, ours) + 500) > ours
    assert report["umask"] == 0o077
    assert report["cwd"] == str(launch.directory)
    passed_on = {n: os.environ[n] for n in ("PATH", "LANG", "LC_ALL", "TZ") if n in os.environ}
    # Python sets LC_CTYPE without a locale.
    report["environ"].pop("LC_CTYPE", None)
    assert report["environ"] == passed_on | {
        "GOLO_RPC_ADDR": "127.0.0.1:9999",
        "GOLO_JOB": "state/job",
        "PYTHONUNBUFFERED": "1",
        "HOME": str(launch.directory),
        "TMPDIR": str(launch.directory),
    }


async def test_signals_are_reset(launch: Launch) -> None:
    """A load test starts with no signal blocked or ignored, although the agent has some."""
    numbers = (signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        recording = launch.start(
            "exec grep -E '^Sig(Blk|Ign)' /proc/self/status\n", None, "/bin/sh"
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, disposition in before.items():
            signal.signal(number, disposition)
    await recording.over
    masks = {
        name: int(bits, 16) for name, bits in (line.split() for line in recording.out.splitlines())
    }
    ours = sum(1 << number - 1 for number in signal.valid_signals())  # two belong to the C library
    assert {name: bits & ours for name, bits in masks.items()} == {b"SigBlk:": 0, b"SigIgn:": 0}


async def test_sigpipe_ends_a_pipeline(launch: Launch) -> None:
    """A shell's pipeline ends by SIGPIPE without an error."""
    recording = await launch.start("yes | head -n 1\n", None, "/bin/sh").over
    assert (recording.out, recording.err, recording.exit) == (b"y\n", b"", (0, None))


async def test_exec_fails(launch: Launch) -> None:
    """A failed exec is reported with the errno and the file, before the exit."""
    recording = await launch.start("", None, "/nonexistent/interpreter").over
    why = f"its interpreter /nonexistent/interpreter: {os.strerror(errno.ENOENT)}"
    reason = f"{os.strerror(errno.ENOENT)}: {why}"
    assert recording.failure == f"exec: {reason} (errno {errno.ENOENT})"
    assert (recording.is_launched, recording.exit, recording.err) == (
        False,
        (launcher.FAILED, None),
        b"",
    )


async def test_an_unknown_user(launch: Launch) -> None:
    """A failure before the exec is reported with its step, and nothing is executed."""
    recording = await launch.start("print('ran')", "no-such-user").over
    assert recording.failure is not None
    assert recording.failure.startswith("become user no-such-user: ")
    assert recording.out == b""


async def test_an_unexpected_failure(launch: Launch, tmp_path: Path) -> None:
    """An unexpected failure is reported too, and is not the end of a load test."""
    (tmp_path / "link").symlink_to(tmp_path / "link")
    recording = await launch.start("print('ran')", protected=tmp_path / "link").over
    assert recording.failure is not None
    assert "protect the agent's files: " in recording.failure
    assert (recording.is_launched, recording.out, recording.err) == (False, b"", b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_another_user(isolation: IsolationBackend) -> None:
    """A load test of root's agent runs as `nobody` without groups and capabilities.

    It owns its output and can reopen it.
    """
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory() as directory:  # pytest's directory is closed to other users
        os.chown(directory, nobody.pw_uid, nobody.pw_gid)
        text = "id -u; id -g; id -G; grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status\n"
        text += "echo by name > /dev/stdout\necho by name > /dev/stderr\n"
        launch = Launch(Path(directory), isolation)
        recording = await launch.start(text, "nobody", "/bin/sh").over
        launch.clear()
    lines = recording.out.decode().split("\n")
    assert lines[:3] == [str(nobody.pw_uid), str(nobody.pw_gid), str(nobody.pw_gid)], vars(
        recording
    )
    assert [int(line.split()[1], 16) for line in lines[3:-2]] == [0, 0, 0, 0]
    assert (lines[-2], recording.err) == ("by name", b"by name\n")


async def test_the_program_gets_its_arguments_and_variables(launch: Launch) -> None:
    """All bytes of them, exactly; the client's variables win, and the launcher follows none."""
    invocation = Invocation(
        args=("--cart", "", "a b", "\N{SNOWMAN}\n", "x" * 30_000),
        variables={"GOLO_USERS": "3"},
        given={
            "PATH": "/nowhere",
            "TOKEN": "s3cret=\N{SNOWMAN}",
            "LOCPATH": "/x",
            "PYTHONHOME": "/x",
        },
        has_rpc=False,
    )
    script = (
        "import json, os, sys\n"
        "print(json.dumps([sys.argv[1:], {n: os.environ[n] for n in os.environ}]))\n"
    )
    recording = launch.start(script, interpreter=f"{SYSTEM_PYTHON} -E", invocation=invocation)
    await recording.over
    assert recording.exit == (0, None), recording.err
    args, environ = json.loads(recording.out)
    assert tuple(args) == invocation.args
    assert environ["GOLO_USERS"] == "3"
    assert "GOLO_RPC_ADDR" not in environ
    assert {name: environ[name] for name in invocation.given} == invocation.given
    assert not [name for name in environ if name.startswith(launcher.GIVEN)]


async def test_variables_are_in_no_error_of_the_launcher(launch: Launch) -> None:
    """The sentence for a program that cannot be executed has no value of them."""
    invocation = Invocation(given={"TOKEN": "s3cret"})
    recording = launch.start("", interpreter="/nowhere/s3", invocation=invocation)
    await recording.over
    assert recording.failure is not None
    assert "s3cret" not in recording.failure + repr(invocation)
    assert recording.out + recording.err == b""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_tasks_are_limited(
    isolation: IsolationBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork bomb reaches its own limit on tasks, unless the user has none left."""
    bomb = """import os, resource, time
started = 0
try:
    while started < 400:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        started += 1
except BlockingIOError:
    pass
print(started, resource.getrlimit(resource.RLIMIT_NPROC)[0], flush=True)
"""
    if not os.access(SYSTEM_PYTHON, os.X_OK):
        pytest.skip(f"there is no {SYSTEM_PYTHON}")
    nobody = pwd.getpwnam("nobody")
    before = _tasks_of(nobody.pw_uid)
    for limit in (before + 40, 1):
        monkeypatch.setattr("goloagent.sandbox.process.max_tasks", lambda limit=limit: limit)
        with tempfile.TemporaryDirectory() as directory:
            os.chown(directory, nobody.pw_uid, nobody.pw_gid)
            launch = Launch(Path(directory), isolation)
            recording = launch.start(bomb, "nobody", SYSTEM_PYTHON)
            while b"\n" not in recording.out and recording.exit is None:
                await _next_turn()
            launch.process.kill()
            await recording.over
            launch.clear()
        assert recording.out, vars(recording)
        started, in_force = map(int, recording.out.split())
        if limit > 1:
            # Other tasks of the user may have ended meanwhile.
            assert (in_force, started <= limit) == (limit, True)
        else:  # no task could be started
            assert (in_force > limit, started) == (True, 400)


def _tasks_of(uid: int) -> int:
    """Return the number of tasks of a user in /proc."""
    count = 0
    for tasks in Path("/proc").glob("[0-9]*/task"):
        try:
            if tasks.stat().st_uid == uid:
                count += len(list(tasks.iterdir()))
        except OSError:
            continue
    return count


async def _next_turn() -> None:
    from twisted.internet import reactor, task

    await task.deferLater(reactor, 0.01)


@pytest.mark.parametrize("reaped", [False, True])
@pytest.mark.parametrize("by", ["pidfd", "number"])
def test_a_group_is_signalled_after_its_leaders_end(
    reaped: bool, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The members of a group are signalled after the end of its leader."""
    if by == "number":

        def none_left(_: int) -> int:
            raise OSError(errno.EMFILE, "Too many open files")

        held = monkeypatch.context()
        patch = held.__enter__()
        patch.setattr("goloagent.sandbox.session_leader.os.pidfd_open", none_left)
    script = "sleep 600 & echo $!; exec cat"
    with subprocess.Popen(
        ["/bin/sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={"GOLO_JOB": "state/job", "PATH": os.environ["PATH"]},
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        member = int(process.stdout.readline())
        held_member = select.poll()
        leader = SessionLeader(process.pid, "state/job")
        if by == "number":
            held.__exit__(None, None, None)
        descriptor = os.pidfd_open(member)
        held_member.register(descriptor, select.POLLIN)
        if reaped:
            process.stdin.close()
            process.wait(10)
        leader.signal_group(signal.SIGKILL)
        assert held_member.poll(10_000), "the member lives on"
        os.close(descriptor)
        leader.close()


async def test_sigterm_reaches_grandchildren(launch: Launch) -> None:
    """One signal ends all processes that the load test has started, and closes its pipes."""
    recording = launch.start("sleep 600 & sleep 600\n", None, "/bin/sh")
    await recording.launching
    launch.process.terminate()
    await recording.over
    assert recording.exit == (None, signal.SIGTERM)


async def test_with_landlock(launch: Launch, tmp_path: Path) -> None:
    """With Landlock a load test works as without, but cannot read files next to its directory.

    It can signal its own processes, and the agent can signal it.
    """
    try:
        landlock.abi()
    except OSError as error:
        print(f"no Landlock here: {error}")
        pytest.skip(f"no Landlock here: {error}")
    launch.directory = tmp_path / "job"
    launch.directory.mkdir()
    (tmp_path / "protected").write_text("secret")
    recording = await launch.start(USUAL.read_text(), protected=tmp_path).over
    assert (recording.failure, recording.err) == (None, b"by a script\n")
    assert recording.out == b"symlink\nall but the protected file\n"
    assert recording.exit == (None, signal.SIGTERM)
    launch.clear()
    recording = launch.start("exec sleep 600\n", None, "/bin/sh", protected=tmp_path)
    await recording.launching
    launch.process.terminate()
    await recording.over
    assert recording.exit == (None, signal.SIGTERM)


def plan(program: Path, agent: int) -> str:
    """Write the launcher's argument."""
    return json.dumps(
        {
            "agent": agent,
            "join": None,
            "program": str(program),
            "directory": str(program.parent),
            "user": None,
            "max_file_bytes": 4 * 1024**3,
            "max_tasks": None,
            "protected": None,
        }
    )


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """Write an executable script."""

    def write(text: str) -> Path:
        path = tmp_path / "loadtest"
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        return path

    return write


def test_a_lower_limit_stays(script: Callable[[str], Path]) -> None:
    """A lower limit on file sizes of the agent is kept and prevents no launch."""
    limited = (
        "import os, resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 26, 1 << 26))\n"
        "os.dup2(2, 3)\n"
        "os.execv(sys.executable, [sys.executable, '-I', '-S', *sys.argv[1:]])\n"
    )
    arguments = [launcher.__file__, plan(script(f"#!{sys.executable}\n{REPORT}"), os.getpid())]
    ended = subprocess.run(
        [sys.executable, "-c", limited, *arguments], capture_output=True, timeout=30, check=True
    )
    assert json.loads(ended.stdout)["fsize"] == [1 << 26, 1 << 26]


def test_ends_with_the_agent(script: Callable[[str], Path]) -> None:
    """A load test is killed with the agent, even if the agent is killed by SIGKILL."""
    agent = (
        "import os, subprocess, sys\n"
        "os.dup2(2, 3)\n"
        "plan = sys.argv[2].replace('\"agent\": 0', f'\"agent\": {os.getpid()}')\n"
        "arguments = [sys.executable, '-I', '-S', sys.argv[1], plan]\n"
        "subprocess.run(arguments, pass_fds=(3,))\n"
    )
    text = "#!/bin/sh\necho ready\nexec sleep 600\n"
    with subprocess.Popen(
        [sys.executable, "-c", agent, launcher.__file__, plan(script(text), 0)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == launcher.EXECUTING
        assert parent.stdout.readline() == b"ready\n"
        parent.kill()
        # The load test has the pipe open as long as it runs.
        assert select.select([parent.stdout], [], [], 10)[0], "the load test lives on"
        assert parent.stdout.read() == b""


def test_the_agent_has_ended_already(script: Callable[[str], Path]) -> None:
    """A launcher whose agent has ended already executes nothing."""
    redirected = ["/bin/sh", "-c", 'exec "$@" 3>&2', "sh"]
    arguments = [launcher.__file__, plan(script("#!/bin/sh\necho ran\n"), os.getpid() + 1)]
    ended = subprocess.run(
        [*redirected, sys.executable, "-I", "-S", *arguments],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (launcher.FAILED, b"", b"")
