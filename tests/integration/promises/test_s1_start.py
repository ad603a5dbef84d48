"""S1: a start ends in READY, or in one line and a non-zero exit, whatever it meets."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_twisted
from peers.agent import Agent, Twistd, twistd
from peers.crashing import STEPS
from twisted.internet import task
from twisted.internet.error import ConnectError
from twisted.web.client import ResponseNeverReceived

from goloagent.filesystem.removal import remove

START_SECONDS = 30


@pytest.mark.parametrize("step", STEPS)
@pytest_twisted.ensureDeferred
async def test_s1_each_step_may_fail(idle_agent: Agent, tmp_path: Path, step: str) -> None:
    """An error that nobody foresaw ends the start, and the log says where it was raised."""
    from twisted.internet import reactor

    process = twistd(reactor, tmp_path, idle_agent.arguments, crash_at=step)
    code = await process.ended.addTimeout(START_SECONDS, reactor)
    print(f"S1: {step} fails: exit code {code}: {process.stderr.decode()}")
    assert code == 1, process.stdout
    assert process.stderr.startswith(b"golo-agent: ")
    assert b"two lines" in process.stderr
    assert process.stderr.count(b"\n") == 1
    if b"the log says where" in process.stderr:
        assert b"Traceback" in process.stdout
    await idle_agent.start()  # which a start that broke has not prevented


def mode_000(path: Path) -> None:
    """Make a directory that its owner may not enter."""
    path.mkdir(parents=True)
    (path / "file").write_text("")
    path.chmod(0)


def many(path: Path) -> None:
    """Make a directory with very many entries, some with names that are no text."""
    path.mkdir(parents=True)
    for number in range(5_000):
        (path / str(number)).touch()
    (path / os.fsdecode(b"\xff\xfe")).touch()


OBSTACLES: dict[str, Callable[[Path], object]] = {
    "file": lambda path: path.write_text("somebody's"),
    "empty": lambda path: path.touch(),
    "directory": lambda path: (path / "in").mkdir(parents=True),
    "mode-000": mode_000,
    "link-to-nothing": lambda path: path.symlink_to("nowhere"),
    "link-to-itself": lambda path: path.symlink_to(path.name),
    "fifo": os.mkfifo,
    "device": lambda path: os.mknod(path, 0o20666, os.makedev(1, 5)),  # /dev/zero
    "many": many,
}
# Without these there is no agent: it may refuse to start.
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
# What stands here is skipped.
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


@pytest.mark.parametrize("kind", OBSTACLES)
@pytest_twisted.ensureDeferred
async def test_s1_what_lies_in_the_directories_prevents_nothing(
    idle_agent: Agent, kind: str
) -> None:
    """Whatever stands in the place of the agent's files, it starts, runs, and deletes nothing."""
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
    assert before <= found, "something that is not the agent's is deleted"
    print(f"S1: {kind} at {len(SKIPPED)} places: ready twice, and all is still there")
    for stray in (idle_agent.state / "binaries").iterdir():
        remove(stray)  # which the audit after the test would not know


@pytest.mark.parametrize("kind", OBSTACLES)
@pytest_twisted.ensureDeferred
async def test_s1_what_stands_in_the_way(idle_agent: Agent, tmp_path: Path, kind: str) -> None:
    """In the place of what the agent must have: READY, or one line that names the option."""
    from twisted.internet import reactor

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


LEAVINGS = """\
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
# Deeper than Python's stack and, with these names, than the longest path.
DEPTH = 2500


@pytest.mark.parametrize("ends", ["by kill -9", "by a cancel"])
@pytest_twisted.ensureDeferred
async def test_s1_what_a_load_test_leaves(agent: Agent, tmp_path: Path, ends: str) -> None:
    """Trees without end, of any mode and name: the agent starts at once, and then removes them."""
    from twisted.internet import reactor

    program = tmp_path / "leaves"
    program.write_text(LEAVINGS.format(python=sys.executable, depth=DEPTH))
    job_id = await agent.queue("leaves", program, duration=60)
    while not await _printed(agent.run_log(job_id, "leaves")):
        await task.deferLater(reactor, 0.05)
    if ends == "by kill -9":
        await agent.kill()
    else:
        await agent.request("DELETE", f"/jobs/{job_id}")
        await agent.ended(job_id)
        assert await agent.stop() == 0
    before = reactor.seconds()
    await agent.start()
    ready = reactor.seconds() - before
    work = agent.state / "work"
    while list(work.iterdir()):
        await task.deferLater(reactor, 0.05)
    print(
        f"S1: {DEPTH} directories in each other and 2,000 files, left {ends}: ready after"
        f" {ready:.1f} s, removed after {reactor.seconds() - before:.1f} s"
    )


async def _printed(log: Path) -> bool:
    try:
        return "left" in log.read_text()
    except FileNotFoundError:
        return False


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
@pytest_twisted.ensureDeferred
async def test_s1_disks_and_limits(idle_agent: Agent, tmp_path: Path, condition: str) -> None:
    """Read-only, full, without inodes or descriptors: READY, or one line that names the option."""
    from twisted.internet import reactor

    if os.geteuid() != 0:
        pytest.skip("S1: to mount file systems needs root")
    for directory in (idle_agent.state, idle_agent.logs):
        directory.mkdir()
    script = f'{CONDITIONS[condition]}; shift 2; exec "$@"'
    directories = (str(idle_agent.state), str(idle_agent.logs))
    become = ("unshare", "--mount", "sh", "-c", script, "sh", *directories)
    process = twistd(reactor, tmp_path, idle_agent.arguments, become=become)
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
    """Return ``ready``, whatever else the disk then lacks, or the line with which it ended."""
    from twisted.internet import reactor

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
