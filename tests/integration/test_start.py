"""A start that fails has one line and a non-zero exit code, and nothing is_listening."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest
from peers.agent import TWISTD, Agent, twistd
from peers.collector import Collector
from peers.ports import free_port
from twisted.internet import reactor

import goloagent


async def error_of_start(directory: Path, agent: Agent, arguments: list[str]) -> str:
    """Start an agent that must fail; return its line."""
    process = twistd(reactor, directory, arguments)
    code = await process.ended.addTimeout(60, reactor)
    text = process.stderr.decode()
    assert code > 0, (code, text, process.stdout)
    assert len(text.splitlines()) == 1, text
    assert b"Traceback" not in process.stdout
    assert not is_listening(agent.port)
    return text.strip()


def is_listening(port: int) -> bool:
    """Whether a port of 127.0.0.1 is listened on."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


WRONG = {
    "collector without scheme": {"--collector": "localhost:8082"},
    "collector of another scheme": {"--collector": "ftp://localhost/"},
    "rpc without port": {"--rpc": "127.0.0.1"},
    "rpc with a port too high": {"--rpc": "127.0.0.1:99999"},
    "no size": {"--max-upload": "lots"},
    "no upload at all": {"--max-upload": "0"},
    "no network": {"--allow-from": "10.0.0.0/33"},
    "no such containment": {"--containment": "wishes"},
    "no such user": {"--run-as": "nobody-of-this-name"},
    "no such endpoint": {"--listen": "carrier-pigeon:1:interface=127.0.0.1"},
    "no such port": {"--listen": "tcp:http-ish:interface=127.0.0.1"},
    "a listener for everyone without a token": {"--listen": "tcp:8081"},
    "no token file": {"--token-file": "/nonexistent/token"},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_value(idle_agent: Agent, tmp_path: Path, wrong: dict[str, str]) -> None:
    """The line names the option and the value."""
    idle_agent.options |= wrong
    line = await error_of_start(tmp_path, idle_agent, idle_agent.arguments)
    ((option, value),) = wrong.items()
    assert option in line
    assert value in line


@pytest.mark.parametrize("word", ["--frobnicate", "something"])
async def test_an_unknown_option(idle_agent: Agent, tmp_path: Path, word: str) -> None:
    """An unknown option or argument is named."""
    line = await error_of_start(tmp_path, idle_agent, [*idle_agent.arguments, word])
    assert word.removeprefix("--") in line


@pytest.mark.parametrize("option", ["--logs", "--state"])
async def test_a_directory_that_cannot_be_created(
    idle_agent: Agent, tmp_path: Path, option: str
) -> None:
    """A directory below a regular file cannot be created, even by root."""
    file = tmp_path / "file"
    file.write_text("")
    idle_agent.options[option] = str(file / "directory")
    line = await error_of_start(tmp_path, idle_agent, idle_agent.arguments)
    assert option in line
    assert str(file / "directory") in line
    assert "Not a directory" in line


async def test_a_taken_port(idle_agent: Agent, tmp_path: Path) -> None:
    """The listener in use is named, and the other one is closed."""
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        listen = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        arguments = [*idle_agent.arguments, "--listen", listen]
        line = await error_of_start(tmp_path, idle_agent, arguments)
    assert listen in line
    assert "Address already in use" in line


async def test_a_second_agent_on_the_same_state(
    agent: Agent, collector: Collector, tmp_path: Path
) -> None:
    """Two agents cannot share a state directory."""
    second = Agent(reactor, tmp_path, collector)
    line = await error_of_start(tmp_path, second, second.arguments)
    assert str(agent.state) in line
    assert "another agent" in line
    assert (await agent.request("GET", "/health")).status == 200


def test_a_daemon_that_cannot_start(idle_agent: Agent, tmp_path: Path) -> None:
    """A daemon's start prints the line too, and its parent does not wait."""
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        listen = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        files = [f"--pidfile={tmp_path}/pid", f"--logfile={tmp_path}/log"]
        ended = subprocess.run(
            [TWISTD, *files, "golo-agent", *idle_agent.arguments, "--listen", listen],
            env={**os.environ, "PYTHONPATH": str(Path(goloagent.__file__).parents[1])},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert ended.returncode != 0
    line = f"--listen {listen}: Address already in use"
    # twistd's own message follows, cut after 100 bytes.
    assert ended.stderr.startswith(f"golo-agent: {line}"), ended.stderr
    log = (tmp_path / "log").read_text()
    assert line in log
    assert "Traceback" not in log
    # The daemon removes its lock when it ends, after its parent.
    subprocess.run(["flock", "-w", "10", idle_agent.state / "lock", "true"], check=True)
    assert not is_listening(idle_agent.port)


def test_a_terminal_shows_the_line_once(idle_agent: Agent, tmp_path: Path) -> None:
    """On a terminal the line is printed once, without the log's copy."""
    controller, terminal = os.openpty()
    with os.fdopen(terminal, "wb") as shown, os.fdopen(controller, "rb", buffering=0) as read:
        ended = subprocess.run(
            [TWISTD, "-n", "golo-agent", *idle_agent.arguments, "--logs", "/proc/nowhere"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(goloagent.__file__).parents[1])},
            stdin=subprocess.DEVNULL,
            stdout=shown,
            stderr=shown,
            timeout=60,
            check=False,
        )
        text = read.read(65536).decode()
    assert ended.returncode == 1
    assert text.count("--logs /proc/nowhere") == 1, text
    assert "golo-agent: --logs /proc/nowhere" in text
    assert not (tmp_path / "twistd.pid").exists()
