"""S1: a start ends in READY, or in one line and a non-zero exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from peers.agent import Agent, Twistd, twistd
from peers.crashing import STEPS
from peers.waiting import until
from twisted.internet import reactor, task
from twisted.internet.error import ConnectError
from twisted.web.client import ResponseNeverReceived

from goloagent.filesystem.removal import remove

START_SECONDS = 30


async def test_s1_each_step_may_fail(idle_agent: Agent, tmp_path: Path) -> None:
    """An unexpected error ends the start with one line, and does not prevent the next start."""
    for step in STEPS:
        process = twistd(reactor, tmp_path, idle_agent.arguments, crash_at=step)
        code = await process.ended.addTimeout(START_SECONDS, reactor)
        print(f"S1: {step} fails: exit code {code}: {process.stderr.decode()}")
        assert code == 1, process.stdout
        assert process.stderr.startswith(b"golo-agent: ")
        assert b"two lines" in process.stderr
        assert process.stderr.count(b"\n") == 1
        if b"the log says where" in process.stderr:
            assert b"Traceback" in process.stdout
    await idle_agent.start()


def mode_000(path: Path) -> None:
    """Make a directory without permissions."""
    path.mkdir(parents=True)
    (path / "file").write_text("")
    path.chmod(0)


def many(path: Path) -> None:
    """Make a directory with 5,000 entries, one with a name that is not UTF-8."""
    path.mkdir(parents=True)
    for number in range(5_000):
        (path / str(number)).touch()
    (path / os.fsdecode(b"\xff\xfe")).touch()


OBSTACLES: dict[str, Callable[[Path], object]] = {
    "file": lambda path: path.write_text("of another program"),
    "empty": lambda path: path.touch(),
    "directory": lambda path: (path / "in").mkdir(parents=True),
    "mode-000": mode_000,
    "link-to-nothing": lambda path: path.symlink_to("nowhere"),
    "link-to-itself": lambda path: path.symlink_to(path.name),
    "fifo": os.mkfifo,
    "device": lambda path: os.mknod(path, 0o20666, os.makedev(1, 5)),  # /dev/zero
    "many": many,
}
# `make test` tries the most different ones.
KINDS = [
    pytest.param(kind, marks=[] if kind in ("mode-000", "many") else pytest.mark.full)
    for kind in OBSTACLES
]
# The agent may refuse to start without these.
NEEDED = (
    "state",
    "logs",
    "state/lock",
    "state/work",
    "state/queue",
    "state/binaries",
    "state/incoming",
    "state/golo-agent.sqlite",
)
# Obstacles here are skipped.
SKIPPED = (
    "state/restoring",
    "state/sdk.zip",
    "state/golo-agent.sqlite-wal",
    "state/golo-agent.sqlite-shm",
    "state/work/notes",
    "state/binaries/notes",
    f"state/binaries/{uuid4()}",
    "state/incoming/notes",
    f"state/queue/{uuid4()}.json",
    "logs/shop",
    "logs/binaries",
    f"logs/cart/{uuid4()}",
    f"logs/cart/{uuid4()}/out.log",
    f"logs/cart/{uuid4()}/account.json",
)


@pytest.mark.parametrize("kind", KINDS)
async def test_s1_obstacles_at_unneeded_paths(idle_agent: Agent, kind: str) -> None:
    """The agent starts, runs, and deletes no file that is not its own."""
    for place in (*SKIPPED, f"state/work/{uuid4()}", f"state/incoming/{uuid4()}"):
        path = idle_agent.state.parent / place
        path.parent.mkdir(parents=True, exist_ok=True)
        OBSTACLES[kind](path)
    before = {
        _identity(idle_agent.state.parent / place)
        for place in SKIPPED
        if place not in ("state/restoring", "state/sdk.zip")  # written anew
    }
    await idle_agent.start()
    assert (await idle_agent.request("GET", "/jobs")).status == 200
    assert await idle_agent.stop() == 0
    await idle_agent.start()
    found = {
        _identity(Path(directory) / name)
        for directory, directories, files in os.walk(idle_agent.state.parent)
        for name in (*directories, *files)
    }
    assert before <= found, "a file of another program is deleted"
    print(f"S1: {kind} at {len(SKIPPED)} places: ready twice, nothing deleted")
    for stray in (idle_agent.state / "binaries").iterdir():
        remove(stray)  # or the audit after the test reports it


@pytest.mark.parametrize("kind", KINDS)
async def test_s1_obstacles_at_needed_paths(idle_agent: Agent, tmp_path: Path, kind: str) -> None:
    """The start ends in READY, or in one line that names the option."""
    for number, place in enumerate(NEEDED):
        root = tmp_path / str(number)
        path = root / place
        path.parent.mkdir(parents=True)
        OBSTACLES[kind](path)
        before = _identity(path)
        options = idle_agent.options
        options["--logs"], options["--state"] = str(root / "logs"), str(root / "state")
        process = twistd(reactor, tmp_path, idle_agent.arguments)
        outcome = await _outcome(idle_agent, process)
        print(f"S1: {kind} at {place}: {outcome.strip()}")
        if outcome == "ready":
            process.transport.signalProcess("TERM")
            assert await process.ended.addTimeout(START_SECONDS, reactor) == 0
        else:
            assert len(outcome.splitlines()) == 1
            assert "--state" in outcome or "--logs" in outcome
        assert before in map(_identity, path.parent.iterdir())


LEFTOVERS = """\
#!{python}
import os, signal
os.mkdir("shut"), os.mkdir("shut/in"), os.chmod("shut/in", 0), os.chmod("shut", 0)
os.mkdir(b"\\xff\\xfe"), os.symlink("/", "root"), os.mkfifo("fifo"), os.mkdir("wide")
for number in range(2000):
    os.close(os.open(f"wide/{{number}}", os.O_CREAT))
for _ in range({depth}):
    os.mkdir("d")
    os.chdir("d")
print("left", flush=True)
signal.pause()
"""
# More than Python's stack and the maximum length of a path.
DEPTH = 2500


@pytest.mark.parametrize("ends", ["by kill -9", "by a cancel"])
async def test_s1_leftovers_of_a_load_test(agent: Agent, tmp_path: Path, ends: str) -> None:
    """The agent is ready before it removes deep trees of any mode and name."""
    program = tmp_path / "leaves"
    program.write_text(LEFTOVERS.format(python=sys.executable, depth=DEPTH))
    job_id = await agent.queue("leaves", program, duration=60)
    log = agent.run_log(job_id, "leaves")
    await until(lambda: log.exists() and "left" in log.read_text())
    if ends == "by kill -9":
        await agent.kill()
    else:
        await agent.request("DELETE", f"/jobs/{job_id}")
        await agent.ended(job_id)
        assert await agent.stop() == 0
    before = reactor.seconds()
    await agent.start()
    ready = reactor.seconds() - before
    await until(lambda: not list((agent.state / "work").iterdir()), 60)
    print(
        f"S1: {DEPTH} nested directories and 2,000 files, left {ends}: ready after"
        f" {ready:.1f} s, removed after {reactor.seconds() - before:.1f} s"
    )


CONDITIONS = {
    "a read-only state": 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"',
    "read-only logs": 'mount --bind "$2" "$2" && mount -o remount,bind,ro "$2"',
    "a full state": 'mount -t tmpfs -o size=4k tmpfs "$1"; head -c 4096 /dev/zero > "$1/full"',
    "full logs": 'mount -t tmpfs -o size=4k tmpfs "$2"; head -c 4096 /dev/zero > "$2/full"',
    "no inodes": 'mount -t tmpfs -o nr_inodes=2 tmpfs "$1"; mkdir "$1/work"',
    "no descriptors": "ulimit -n 32",
    "a mount in the work directory": (
        'mkdir -p "$1/work/1b4e28ba-2fa1-11d2-883f-0016d3cca427" && mount -t tmpfs tmpfs "$_"'
    ),
}


@pytest.mark.parametrize("condition", CONDITIONS)
async def test_s1_disks_and_limits(idle_agent: Agent, tmp_path: Path, condition: str) -> None:
    """Read-only, full, without inodes or descriptors: READY, or one line that names the option."""
    if os.geteuid() != 0:
        pytest.skip("S1: to mount file systems needs root")
    for directory in (idle_agent.state, idle_agent.logs):
        directory.mkdir()
    script = f'{CONDITIONS[condition]}; shift 2; exec "$@"'
    directories = (str(idle_agent.state), str(idle_agent.logs))
    become = ("unshare", "--mount", "sh", "-c", script, "sh", *directories)
    process = twistd(reactor, tmp_path, idle_agent.arguments, prefix=become)
    outcome = await _outcome(idle_agent, process)
    print(f"S1: {condition}: {outcome.strip()}")
    if outcome == "ready":
        process.transport.signalProcess("TERM")
        assert await process.ended.addTimeout(START_SECONDS, reactor) == 0
    else:
        assert len(outcome.splitlines()) == 1
        assert outcome.startswith("golo-agent: --")
    assert (outcome == "ready") is (condition in ("a mount in the work directory", "full logs"))


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


async def _outcome(agent: Agent, process: Twistd) -> str:
    """Return ``ready``, also with a full disk, or the line with which the agent ended."""
    for _ in range(START_SECONDS * 20):
        if process.code is not None:
            assert process.code == 1, process.stdout
            return process.stderr.decode()
        try:
            answer = await agent.request("GET", "/health")
        except (ConnectError, ResponseNeverReceived):
            pass  # it does not listen yet, or has ended meanwhile
        else:
            if answer.json["status"] in ("ready", "disk-full"):
                return "ready"
        await task.deferLater(reactor, 0.05)
    raise AssertionError(f"neither READY nor an end: {process.stdout!r}")
