"""What the launcher makes of a process before it becomes a load test, in real processes."""

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
import pytest_twisted
from twisted.internet.defer import Deferred

from goloagent.sandbox import landlock, launcher
from goloagent.sandbox.isolation import IsolationBackend
from goloagent.sandbox.process import LoadTestProcess, Program, Watcher, spawn
from goloagent.sandbox.session_leader import Leader

# A load test that tells what it is.
TELL = """\
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


class Seen(Watcher):
    """Keeps what a load test printed and how it ended; `over` fires then."""

    def __init__(self) -> None:
        self.is_launched = False
        self.failure: str | None = None
        self.out = self.err = b""
        self.exit: tuple[int | None, int | None] | None = None
        self.launching: Deferred[None] = Deferred()
        self.over: Deferred[Seen] = Deferred()

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
    """Launches scripts in a directory of their own."""

    def __init__(self, directory: Path, isolation: IsolationBackend) -> None:
        self.directory = directory
        self.isolation = isolation

    def start(
        self,
        text: str,
        user: str | None = None,
        interpreter: str = sys.executable,
        closed: Path | None = None,
    ) -> Seen:
        """Launch a script with `text`."""
        from twisted.internet import reactor

        path = self.directory / "loadtest"
        path.write_text(f"#!{interpreter}\n{text}", encoding="utf-8")
        path.chmod(0o755)
        seen = Seen()
        program = Program(
            path,
            self.directory,
            "127.0.0.1:9999",
            "state/job",
            user,
            self.isolation,
            None if closed is None else {"paths": [str(closed)], "readable": []},
        )
        self.process: LoadTestProcess = spawn(reactor, program, seen)
        return seen

    def clear(self) -> None:
        """Have nothing be left."""
        self.isolation.clear(self.directory.name)

    async def tell(self) -> dict[str, Any]:
        """Launch a load test that tells what it is."""
        seen = await self.start(TELL).over
        assert (seen.is_launched, seen.exit, seen.err) == (True, (0, None), b""), vars(seen)
        told: dict[str, Any] = json.loads(seen.out)
        return told


@pytest.fixture
def launch(tmp_path: Path, isolation: IsolationBackend) -> Iterator[Launch]:
    """Launch load tests in this test's directory."""
    launch = Launch(tmp_path, isolation)
    yield launch
    launch.clear()


@pytest_twisted.ensureDeferred
async def test_what_a_load_test_is(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session and group of its own, no descriptors or privileges to gain, bounded, in its room.

    All of that also when the agent has descriptors and variables that children inherit.
    """
    monkeypatch.setenv("GOLO_SECRET", "token")
    inheritable = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(inheritable, True)
    try:
        told = await launch.tell()
    finally:
        os.close(inheritable)
    assert told["pid"] == told["sid"] == told["pgid"]
    assert told["fds"] == [0, 1, 2]
    assert told["stdin"] == os.devnull
    assert told["no_new_privs"] == "1"
    assert told["core"] == [0, 0]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert told["nofile"] == [hard, hard]
    # So that the kernel ends the load test, and neither the agent nor what keeps the load test.
    ours = int(Path("/proc/self/oom_score_adj").read_text())
    assert told["oom"] == min(1000, max(0, ours) + 500) > ours
    assert told["umask"] == 0o077
    assert told["cwd"] == str(launch.directory)
    passed_on = {n: os.environ[n] for n in ("PATH", "LANG", "LC_ALL", "TZ") if n in os.environ}
    # Python sets LC_CTYPE for itself where no locale is set.
    told["environ"].pop("LC_CTYPE", None)
    assert told["environ"] == passed_on | {
        "GOLO_RPC_ADDR": "127.0.0.1:9999",
        "GOLO_JOB": "state/job",
        "PYTHONUNBUFFERED": "1",
        "HOME": str(launch.directory),
        "TMPDIR": str(launch.directory),
    }


@pytest_twisted.ensureDeferred
async def test_signals_are_as_new(launch: Launch) -> None:
    """Whatever the agent blocks or ignores, a load test starts with nothing blocked or ignored."""
    numbers = (signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        seen = launch.start("exec grep -E '^Sig(Blk|Ign)' /proc/self/status\n", None, "/bin/sh")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, disposition in before.items():
            signal.signal(number, disposition)
    await seen.over
    masks = {name: int(bits, 16) for name, bits in (line.split() for line in seen.out.splitlines())}
    ours = sum(1 << number - 1 for number in signal.valid_signals())  # two are the C library's
    assert {name: bits & ours for name, bits in masks.items()} == {b"SigBlk:": 0, b"SigIgn:": 0}


@pytest_twisted.ensureDeferred
async def test_sigpipe_ends_a_pipeline(launch: Launch) -> None:
    """A shell's pipeline ends as anywhere else, by SIGPIPE and without complaint."""
    seen = await launch.start("yes | head -n 1\n", None, "/bin/sh").over
    assert (seen.out, seen.err, seen.exit) == (b"y\n", b"", (0, None))


@pytest_twisted.ensureDeferred
async def test_exec_fails(launch: Launch) -> None:
    """The system's reason comes with its number and the file that it means, before the exit."""
    seen = await launch.start("", None, "/nonexistent/interpreter").over
    why = f"its interpreter /nonexistent/interpreter: {os.strerror(errno.ENOENT)}"
    reason = f"{os.strerror(errno.ENOENT)}: {why}"
    assert seen.failure == f"exec: {reason} (errno {errno.ENOENT})"
    assert (seen.is_launched, seen.exit, seen.err) == (False, (launcher.FAILED, None), b"")


@pytest_twisted.ensureDeferred
async def test_an_unknown_user(launch: Launch) -> None:
    """What fails before the exec is told with its step, and nothing is executed."""
    seen = await launch.start("print('ran')", "no-such-user").over
    assert seen.failure is not None
    assert seen.failure.startswith("become user no-such-user: ")
    assert seen.out == b""


@pytest_twisted.ensureDeferred
async def test_a_closed_path_that_leads_nowhere(launch: Launch, tmp_path: Path) -> None:
    """What nobody has thought of is told, too, and is no load test that has ended."""
    (tmp_path / "link").symlink_to(tmp_path / "link")
    seen = await launch.start("print('ran')", closed=tmp_path / "link").over
    assert seen.failure is not None
    assert "keep from what is closed: " in seen.failure
    assert (seen.is_launched, seen.out, seen.err) == (False, b"", b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest_twisted.ensureDeferred
async def test_another_user(isolation: IsolationBackend) -> None:
    """A load test of a root agent is nobody, in no other group, with no capability.

    What it prints to is its own, to be opened once more.
    """
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory() as directory:  # pytest's own lies where only root gets to
        os.chown(directory, nobody.pw_uid, nobody.pw_gid)
        text = "id -u; id -g; id -G; grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status\n"
        text += "echo by name > /dev/stdout\necho by name > /dev/stderr\n"
        launch = Launch(Path(directory), isolation)
        seen = await launch.start(text, "nobody", "/bin/sh").over
        launch.clear()
    lines = seen.out.decode().split("\n")
    assert lines[:3] == [str(nobody.pw_uid), str(nobody.pw_gid), str(nobody.pw_gid)], vars(seen)
    assert [int(line.split()[1], 16) for line in lines[3:-2]] == [0, 0, 0, 0]
    assert (lines[-2], seen.err) == ("by name", b"by name\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest_twisted.ensureDeferred
async def test_a_load_test_leaves_tasks_to_the_agent(
    isolation: IsolationBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork bomb comes to a limit of its own; where that is used up elsewhere there is none."""
    bomb = """import os, resource, time
started = 0
try:
    while started < 200:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        started += 1
except BlockingIOError:
    pass
print(started, resource.getrlimit(resource.RLIMIT_NPROC)[0], flush=True)
"""
    if not os.access(SYSTEM_PYTHON, os.X_OK):
        pytest.skip(f"there is no {SYSTEM_PYTHON}, for one that nobody may run")
    nobody = pwd.getpwnam("nobody")
    before = _tasks_of(nobody.pw_uid)
    for limit in (before + 40, 1):
        monkeypatch.setattr("goloagent.sandbox.process.max_tasks", lambda limit=limit: limit)
        with tempfile.TemporaryDirectory() as directory:
            os.chown(directory, nobody.pw_uid, nobody.pw_gid)
            launch = Launch(Path(directory), isolation)
            seen = launch.start(bomb, "nobody", SYSTEM_PYTHON)
            while b"\n" not in seen.out and seen.exit is None:
                await _moment()
            launch.process.kill()
            await seen.over
            launch.clear()
        assert seen.out, vars(seen)
        started, in_force = map(int, seen.out.split())
        if limit > 1:
            assert (in_force, started <= 40) == (limit, True)
        else:  # not even one more could be started
            assert (in_force > limit, started) == (True, 200)


def _tasks_of(uid: int) -> int:
    """Return how many tasks a user has, as far as they show."""
    count = 0
    for tasks in Path("/proc").glob("[0-9]*/task"):
        try:
            if tasks.stat().st_uid == uid:
                count += len(list(tasks.iterdir()))
        except OSError:
            continue
    return count


async def _moment() -> None:
    from twisted.internet import reactor, task

    await task.deferLater(reactor, 0.01)


@pytest.mark.parametrize("reaped", [False, True])
@pytest.mark.parametrize("by", ["pidfd", "number"])
def test_a_group_is_signalled_after_its_leaders_end(
    reaped: bool, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The members are reached by the kernel's hold of the group, or by their mark."""
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
        leader = Leader(process.pid, "state/job")
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


@pytest_twisted.ensureDeferred
async def test_sigterm_reaches_grandchildren(launch: Launch) -> None:
    """One signal ends all that the load test has started, and so its pipes are closed."""
    seen = launch.start("sleep 600 & sleep 600\n", None, "/bin/sh")
    await seen.launching
    launch.process.terminate()
    await seen.over
    assert seen.exit == (None, signal.SIGTERM)


@pytest_twisted.ensureDeferred
async def test_what_is_beside_what_is_closed(launch: Launch, tmp_path: Path) -> None:
    """A load test does as before all that it did, but for reading what lies beside its directory.

    Its signals reach what it has started, and the agent's reach it.
    """
    try:
        landlock.abi()
    except OSError as error:
        print(f"no Landlock is to be had here: {error}")
        pytest.skip(f"no Landlock is to be had here: {error}")
    launch.directory = tmp_path / "job"
    launch.directory.mkdir()
    (tmp_path / "closed").write_text("secret")
    seen = await launch.start(USUAL.read_text(), closed=tmp_path).over
    assert (seen.failure, seen.err) == (None, b"by a script\n")
    assert seen.out == b"symlink\nall but what is closed\n"
    assert seen.exit == (None, signal.SIGTERM)
    launch.clear()
    seen = launch.start("exec sleep 600\n", None, "/bin/sh", closed=tmp_path)
    await seen.launching
    launch.process.terminate()
    await seen.over
    assert seen.exit == (None, signal.SIGTERM)


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
            "closed": None,
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
    """A limit on file sizes that the agent itself lives under is kept and prevents no launch."""
    limited = (
        "import os, resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 26, 1 << 26))\n"
        "os.dup2(2, 3)\n"
        "os.execv(sys.executable, [sys.executable, '-I', '-S', *sys.argv[1:]])\n"
    )
    arguments = [launcher.__file__, plan(script(f"#!{sys.executable}\n{TELL}"), os.getpid())]
    ended = subprocess.run(
        [sys.executable, "-c", limited, *arguments], capture_output=True, timeout=30, check=True
    )
    assert json.loads(ended.stdout)["fsize"] == [1 << 26, 1 << 26]


def test_ends_with_the_agent(script: Callable[[str], Path]) -> None:
    """A load test is killed with the agent, even when that has no time to see to it."""
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
        # The load test holds the pipe for as long as it lives.
        assert select.select([parent.stdout], [], [], 10)[0], "the load test lives on"
        assert parent.stdout.read() == b""


def test_the_agent_is_gone_already(script: Callable[[str], Path]) -> None:
    """A launcher whose agent ended before it could ask for a signal executes nothing."""
    redirected = ["/bin/sh", "-c", 'exec "$@" 3>&2', "sh"]
    arguments = [launcher.__file__, plan(script("#!/bin/sh\necho ran\n"), os.getpid() + 1)]
    ended = subprocess.run(
        [*redirected, sys.executable, "-I", "-S", *arguments],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (launcher.FAILED, b"", b"")
