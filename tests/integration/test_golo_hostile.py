"""``golo run`` when agents and processes fail under it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from peers.agent import Agent
from peers.golo import left_over, processes_of, start_command, start_golo
from peers.programs import Builder
from twisted.internet import reactor, task

from goloagent.client.exit_codes import ExitCode

QUICK = """
from goloagent.sdk import report, serve

def journey():
    time.sleep(0.01)
    report(method="GET", url="https://shop.example/", status=200, size=1, duration_seconds=0.01)

serve(journey)
"""


@pytest.fixture
def quick(script: Builder) -> Path:
    """Build a load test whose calls take 10 ms."""
    return script(QUICK)


@pytest.mark.parametrize("killed", ["keeper", "goloagent"])
async def test_a_private_agent_is_killed(quick: Path, tmp_path: Path, killed: str) -> None:
    """120, named, and nothing is left, whichever of its processes was killed."""
    golo = start_golo(reactor, tmp_path, "run", quick, "-u", "2", "-d", "600")
    await golo.printed("running")
    [process] = [
        number
        for number, command in processes_of(tmp_path)
        if (killed == "keeper") == (b"keeper" in command) and b"--listen" in command
    ]
    os.kill(process, signal.SIGKILL)
    assert await golo.exit_code() == ExitCode.AGENTS_LOST, golo.out + golo.err
    assert "Lost: private agent" in golo.out
    assert left_over(tmp_path) == []


async def test_an_agent_stands_still(agent: Agent, quick: Path, tmp_path: Path) -> None:
    """120 although its connections stay open."""
    where = f"127.0.0.1:{agent.port}"
    golo = start_golo(reactor, tmp_path, "run", quick, "-p", where, "-u", "2", "-d", "60")
    await golo.printed("running")
    agent.send(signal.SIGSTOP)
    assert await golo.exit_code() == ExitCode.AGENTS_LOST, golo.out + golo.err
    assert f"Lost: {where}" in golo.out
    agent.send(signal.SIGCONT)


async def test_an_agent_stands_still_for_a_while(agent: Agent, quick: Path, tmp_path: Path) -> None:
    """The run goes on to its verdict."""
    where = f"127.0.0.1:{agent.port}"
    golo = start_golo(reactor, tmp_path, "run", quick, "-p", where, "-u", "2", "-d", "8")
    await golo.printed("running")
    agent.send(signal.SIGSTOP)
    await task.deferLater(reactor, 3)
    agent.send(signal.SIGCONT)
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err


@pytest.mark.parametrize(
    ("shell", "code", "sentence"),
    [
        ("exec {golo} > /dev/full", ExitCode.OK, ""),
        ("exec {golo} -q --json - > /dev/full", ExitCode.INVALID, "no space left"),
        ("exec {golo} -q --json /dev/full --junit r.xml", ExitCode.INVALID, "no space left"),
        ("exec {golo} >&-", ExitCode.OK, ""),
        ("exec {golo} -q 2>&- <&-", ExitCode.OK, ""),
        ("exec {golo} -t 'duration: p(95)<1ms' --json /dev/full", ExitCode.THRESHOLD, "no space"),
        ("{golo} -t 'duration: max<1' | head -1;exit ${{PIPESTATUS[0]}}", ExitCode.THRESHOLD, ""),
    ],
)  # fmt: skip
async def test_output_that_cannot_be_written(
    quick: Path, tmp_path: Path, shell: str, code: ExitCode, sentence: str
) -> None:
    """The verdict's exit code stays, and a file that was asked for is missed."""
    command = f"{sys.executable} -m goloagent.client run {quick} -u 1 -d 1"
    golo = start_command(reactor, tmp_path, "bash", "-c", shell.format(golo=command))
    assert await golo.exit_code() == code, golo.out + golo.err
    assert sentence in golo.err
    assert "Traceback" not in golo.err
    if "--junit" in shell:
        assert (tmp_path / "r.xml").exists()
    assert left_over(tmp_path) == []


async def test_a_later_run_fails(quick: Path, tmp_path: Path) -> None:
    """The reports of the runs before it are written."""
    words = ("run", quick, "-u", "1", "-d", "1", "--repeat", "3")
    golo = start_golo(reactor, tmp_path, *words, "--json", "r.json", "--html", "r.html")
    await golo.printed("Passed")
    golo.send(signal.SIGINT)
    assert await golo.exit_code() == ExitCode.INTERRUPTED, golo.out + golo.err
    assert (tmp_path / "r.json").exists()
    assert (tmp_path / "r.html").exists()
    assert left_over(tmp_path) == []


async def test_the_reader_of_a_log_has_read_enough(
    agent: Agent, quick: Path, tmp_path: Path
) -> None:
    """That is no fault of the agent's, and no error."""
    where = f"-p 127.0.0.1:{agent.port}"
    golo = start_golo(reactor, tmp_path, "run", quick, *where.split(), "-r", "300", "-d", "3")
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err
    command = f"{sys.executable} -m goloagent.client"
    for shell, code in (
        (f"{command} logs last {where} | head -1; exit ${{PIPESTATUS[0]}}", ExitCode.OK),
        (f"exec {command} logs last {where} > /dev/full", ExitCode.INVALID),
        (f"exec {command} runs {where} > /dev/full", ExitCode.INVALID),
    ):
        golo = start_command(reactor, tmp_path, "bash", "-c", shell)
        assert await golo.exit_code() == code, golo.err
        assert golo.err == ("" if code == 0 else "golo: standard output: no space left on device\n")


async def test_a_program_larger_than_uploads_may_be(idle_agent: Agent, tmp_path: Path) -> None:
    """104 by one sentence, although the agent answers before it has read all."""
    idle_agent.options["--max-upload"] = "10000"
    await idle_agent.start()
    program = tmp_path / "large"
    program.write_bytes(b"#!/bin/sh\n" + bytes(30_000_000))
    where = f"127.0.0.1:{idle_agent.port}"
    golo = start_golo(reactor, tmp_path, "run", program, "-p", where)
    assert await golo.exit_code() == ExitCode.INVALID
    assert golo.err == f"golo: agent {where}: the request body is longer than 10000 bytes\n"
