"""The bundled load test that runs a command, as a process."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
from pathlib import Path

import pytest
from peers.driven import TIMEOUT_SECONDS, Driven, driven, launch


def results_of(load_test: Driven, calls: int = 1) -> list[tuple[int, int, str | None]]:
    """Make concurrent calls, end the load test, and return what the results of commands have."""
    assert load_test.call(calls) == []
    results, err = load_test.end()
    assert err == ""
    assert all((one["method"], one["duration"] > 0) == ("EXEC", True) for one in results)
    return [(one["status"], one["size"], one["error"]) for one in results]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["true"], (200, 0, None)),
        (["false"], (1, 0, "exit code 1")),
        (["sh", "-c", "echo hello; echo a warning >&2"], (200, 6, None)),
        (["sh", "-c", "echo x; echo first >&2; echo last >&2; exit 3"],
         (3, 2, "exit code 3: first … last")),
        (["sh", "-c", "kill -9 $$"], (137, 0, "killed by signal 9 (SIGKILL)")),
        (["head", "-c", "5000000", "/dev/zero"], (200, 5_000_000, None)),
        (["sh", "-c", "head -c 5000000 /dev/zero >&2; exit 1"], None),
        (["sh", "-c", "exec >&- 2>&-; exit 4"], (4, 0, "exit code 4")),
        (["sh", "-c", "cat; test -p /dev/stdin || echo $#", "a", "b c", ""], (200, 2, None)),
        (["sh", "-c", "yes | head -1"], (200, 2, None)),
        (["curl", "--silent", "--show-error", "http://127.0.0.1:1/"], None),
    ],
)  # fmt: skip
def test_outcomes(
    tmp_path: Path, command: list[str], expected: tuple[int, int, str | None] | None
) -> None:
    """Exit code, bytes of stdout and the ends of stderr are the result."""
    with driven(tmp_path, "command", "--", *command) as load_test:
        found = results_of(load_test, 3)
    if expected is None:
        assert all(status in (1, 7) and error for status, _, error in found), found
    else:
        assert found == [expected] * 3


def test_the_time_is_that_of_the_command(tmp_path: Path) -> None:
    """Commands of several users run at the same time."""
    with driven(tmp_path, "command", "sleep", "0.5") as load_test:
        load_test.call(20)
        results, _ = load_test.end()
    assert len(results) == 20
    assert min(one["duration"] for one in results) >= 500_000_000
    starts = [one["timestamp"] for one in results]
    assert len(set(starts)) > 1
    assert {one["url"] for one in results} == {"sleep 0.5"}


def test_descriptors_and_zombies(tmp_path: Path) -> None:
    """Hundreds of concurrent executions leave none, and no process gets those of another."""
    script = "ls /proc/self/fd | wc -l | grep -qx 4 || exit 9"  # 0, 1, 2 and the directory's
    with driven(tmp_path, "command", "sh", "-c", script) as load_test:
        load_test.call(50)
        before = load_test.descriptors
        for _ in range(6):
            load_test.call(50)
        assert load_test.descriptors == before
        assert children(load_test.process) == []
        results, _ = load_test.end()
    assert [one["error"] for one in results] == [None] * 350


def children(process: subprocess.Popen[bytes]) -> list[str]:
    """Return the commands of a process's children, dead ones too."""
    command = ["ps", "--no-headers", "-o", "args", "--ppid", str(process.pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()


def test_a_timeout(tmp_path: Path) -> None:
    """The command is killed with its children, and is an error without a status."""
    with driven(tmp_path, "command", "--timeout", "0.3", "sh", "-c", "sleep 60; true") as load_test:
        assert results_of(load_test, 2) == [(0, 0, "killed after the timeout of 0.3 s")] * 2


def test_children_that_a_command_leaves(tmp_path: Path) -> None:
    """They are killed when the command exits, and do not delay its result."""
    script = f"sleep 60 & echo $! >> {tmp_path / 'left'}"
    with driven(tmp_path, "command", "sh", "-c", script) as load_test:
        found = results_of(load_test, 3)
    assert found == [(200, 0, None)] * 3
    pids = list(map(int, (tmp_path / "left").read_text().split()))
    assert len(pids) == 3
    for pid in pids:
        wait_until_dead(pid)


def wait_until_dead(pid: int) -> None:
    """Wait for the end of a process that no process here can reap."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], TIMEOUT_SECONDS)[0], pid
    finally:
        os.close(descriptor)


def test_a_daemon_that_keeps_stdout(tmp_path: Path) -> None:
    """A process with a session of its own holds the pipe open; the result does not wait for it."""
    pid = tmp_path / "pid"
    # The command ends when the daemon has left its process group.
    script = f"setsid sh -c 'echo $$ > {pid}; exec sleep 60' & "
    script += f"echo x; exec 1>&- 2>&-; until [ -s {pid} ]; do sleep 0.01; done"
    with driven(tmp_path, "command", "sh", "-c", script) as load_test:
        found = results_of(load_test)
    os.kill(int(pid.read_text()), signal.SIGKILL)
    assert found == [(200, 2, None)]


def test_the_end(tmp_path: Path) -> None:
    """Commands that run at SIGTERM are killed with their children, and are results."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    script = f"sleep 60 & echo $! > {fifo}; wait"
    with driven(tmp_path, "command", "sh", "-c", script) as load_test:
        load_test.start(1)
        child = int(fifo.read_text())
        results, _ = load_test.end()
    assert [(one["status"], one["error"]) for one in results] == [
        (0, "killed at the end of the load test")
    ]
    wait_until_dead(child)


def test_signals_are_those_of_a_shell(tmp_path: Path) -> None:
    """Python ignores SIGPIPE, and a command must not."""
    script = "trap '' TERM; grep -E '^Sig(Blk|Ign)' /proc/self/status >&2; exit 1"
    with driven(tmp_path, "command", "sh", "-c", script) as load_test:
        [(_, _, error)] = results_of(load_test)
    blocked, ignored = re.findall(r"Sig...:\s*([0-9a-f]+)", error or "")
    # These tests ignore some themselves in the background of a shell, or under nohup.
    inherited = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT}
    found = {number for number in range(1, 32) if int(ignored, 16) >> (number - 1) & 1}
    assert (int(blocked, 16), found - inherited) == (0, {signal.SIGTERM})


def test_the_directory_and_the_environment(tmp_path: Path) -> None:
    """The command runs in the directory, where its path may begin, with the job's variables."""
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "run").write_text('#!/bin/sh\necho "$PWD $TARGET" >&2; exit 1\n')
    (inner / "run").chmod(0o755)
    arguments = ["--directory", str(inner), "./run"]
    with driven(tmp_path, "command", *arguments, TARGET="http://a/") as load_test:
        assert results_of(load_test) == [(1, 0, f"exit code 1: {inner} http://a/")]


NOT_STARTED: dict[str, tuple[list[str], int, str]] = {
    "unknown": (["no-such-command"], 127, "command not found: no-such-command; install it on"),
    "unknown path": (["./missing"], 127, "command not found: ./missing; "),
    "a directory": (["/tmp"], 127, "command not found: /tmp; "),
    "no command": ([], 2, "COMMAND is missing"),
    "no directory": (["--directory", "/missing", "ls"], 126, "cannot enter --directory /missing: "),
}


@pytest.mark.parametrize("name", NOT_STARTED)
def test_a_command_that_does_not_exist(tmp_path: Path, name: str) -> None:
    """The load test does not start, with one sentence."""
    arguments, code, sentence = NOT_STARTED[name]
    with launch(tmp_path, "command", *arguments) as process:
        _, err = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == code
    assert (tmp_path / "stdout").read_bytes() == b""
    assert sentence in err.decode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"no program", "Exec format error"), (b"#!/no/such/interpreter\n", "No such file")],
)
def test_a_command_that_cannot_run(tmp_path: Path, content: bytes, reason: str) -> None:
    """The first execution ends the load test with a sentence, because no other one would start."""
    path = tmp_path / "broken"
    path.write_bytes(content)
    path.chmod(0o755)
    with driven(tmp_path, "command", str(path)) as load_test:
        load_test.start(5)
        _, err = load_test.process.communicate(timeout=TIMEOUT_SECONDS)
    assert load_test.process.returncode == 126
    assert (tmp_path / "stdout").read_bytes() == b""
    assert err.decode().startswith(f"cannot run {path}: {reason}")
    assert err.count(b"\n") == 1
