"""Load tests that fail: each job ends with its own reason, and the next one runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from peers.agent import Agent
from peers.collector import Collector
from peers.programs import ACCEPT, Builder

MIB = 1 << 20
FLOOD_MIB = 1000 if os.environ.get("GOLO_SOAK") else 200
MAX_GROWTH_BYTES = 32 * MIB
SIGTERM = {"signal": "SIGTERM"}

# A load test that accepts one connection and reads its first byte.
ACCEPTS = f'print("here I am", file=sys.stderr, flush=True){ACCEPT}connection.recv(1)\n'
# Answers calls without stdout.
WITHOUT_STDOUT = (
    ACCEPT
    + """
from goloagent.netrpc import Server
server = Server()
os.close(1)
while True:
    for call in server.receive(connection.recv(65536)):
        connection.sendall(server.reply(call))
"""
)
RESULT = '{"status": 200, "timestamp": "2024-02-29T12:00:00Z"}'
# Replies are read when they come, or with the next arrivals.
LOADS = [{"users": 25}, {"rate": 5000}]
# 1 MiB of lines of 1 KiB that are not results.
BLOCK = 'block = (b"#" * 1023 + b"\\n") * 1024\n'


@attrs.frozen
class FailingJob:
    """Runs a failing load test, and a good one after it."""

    agent: Agent
    good: Path

    async def __call__(
        self,
        loadtest: Path,
        reason: str | None,
        *,
        message: str = "",
        process_exit: Mapping[str, object] | None = None,
        stderr: str = "",
        **load: object,
    ) -> dict[str, Any]:
        """Return the job after both have ended.

        Args:
            reason: the expected reason; None if the job is expected to finish.
            message: an expected part of the job's message.
            process_exit: how the process is expected to end.
            stderr: an expected part of the tail of stderr, which is empty if this is empty.
            load: members of the job.
        """
        bad = await self.agent.queue("bad", loadtest, duration=1, **load)
        good = await self.agent.queue("good", self.good, duration=0)
        job = await self.agent.settled(bad)
        state = "finished" if reason is None else "failed"
        assert (job["state"], job["reason"], job["exit"]) == (state, reason, process_exit), job
        assert message in (job["message"] or ""), job
        assert reason is None or job["message"].endswith(".") or reason == "calls-failed"
        assert stderr in job["stderr_tail"], job
        assert bool(stderr) == bool(job["stderr_tail"]), job
        assert len(job["stderr_tail"].splitlines()) <= 20
        next_job = await self.agent.settled(good)
        assert (next_job["state"], next_job["results"]["delivered"]) == ("finished", 10), next_job
        return job


@pytest_twisted.async_fixture
async def failing_job(idle_agent: Agent, go_loadtest: Builder) -> FailingJob:
    """Start an agent with short timeouts."""
    idle_agent.options |= {"--drain-timeout": "1", "--output-timeout": "2"}
    await idle_agent.start()
    return FailingJob(idle_agent, go_loadtest("counter", count=10))


async def test_every_call_fails(failing_job: FailingJob, go_loadtest: Builder) -> None:
    """RPC errors do not stop the loop; a run without a successful call fails and quotes one."""
    job = await failing_job(
        go_loadtest("counter", count=0, refuse="no such user"),
        "calls-failed",
        message="no such user",
        process_exit={"code": 0},
        stderr="signal 15",
    )
    assert job["calls"]["ok"] == 0
    assert job["calls"]["failed"] == job["calls"]["started"] > 25


@pytest.mark.parametrize("code", [3, 0])
async def test_exits_at_once(failing_job: FailingJob, script: Builder, code: int) -> None:
    """An exit before any call is a failure with any code, because nothing was tested."""
    await failing_job(
        script(f"echo 'no configuration' >&2\nexit {code}\n", "/bin/sh"),
        "exited",
        message=f"exited with code {code} before it listened: it must serve net/rpc",
        process_exit={"code": code},
        stderr="no configuration",
    )


async def test_never_listens(idle_agent: Agent, script: Builder) -> None:
    """A load test that does not listen within the start timeout is stopped."""
    agent = idle_agent
    agent.options["--start-timeout"] = "3"
    await agent.start()
    program = script("echo 'thinking' >&2\nexec sleep 600\n", "/bin/sh")
    job_id = await agent.queue("bad", program, duration=1)
    job = await agent.reached(job_id, "starting")
    assert job["message"].startswith("The agent waits for the load test to serve net/rpc"), job
    assert '"drive": "self"' in job["message"]
    job = await agent.settled(job_id)
    assert (job["state"], job["reason"], job["exit"]) == ("failed", "start-timeout", SIGTERM), job
    assert job["message"].startswith("The load test did not listen within 3 s: it must serve")
    assert "golo run --exec" in job["message"]
    assert job["stderr_tail"] == "thinking"


async def test_never_answers(failing_job: FailingJob, script: Builder) -> None:
    """Calls that do not return are abandoned after the drain timeout."""
    job = await failing_job(
        script(ACCEPTS + "time.sleep(600)\n"),
        "calls-unanswered",
        message="accepted calls and answered none",
        process_exit=SIGTERM,
        stderr="here I am",
    )
    assert job["calls"]["in_flight"] == 25


@pytest.mark.parametrize(
    "garbage",
    # Each is long enough for a whole message.
    [b"\x01" * 64, b"HTTP/1.1 400 Bad Request\r\n" * 4],
    ids=["not gob", "http"],
)
@pytest.mark.parametrize("load", LOADS)
async def test_answers_garbage(
    failing_job: FailingJob, script: Builder, garbage: bytes, load: dict[str, int]
) -> None:
    """A response that is not net/rpc ends the job with its own reason."""
    await failing_job(
        script(f"{ACCEPTS}connection.sendall({garbage!r})\ntime.sleep(600)\n"),
        "rpc-protocol",
        **load,
        message="does not speak net/rpc",
        process_exit=SIGTERM,
        stderr="here I am",
    )


@pytest.mark.parametrize(
    ("announced", "endlessly"),
    [
        (b"\xfc\x40\x00\x00\x00", "connection.sendall(bytes(1 << 16))"),
        (b"\xfd\x10\x00\x00", "connection.sendall(bytes(1)); time.sleep(0.01)"),
    ],
    ids=["of 1 GiB", "of 1 MiB, a byte at a time"],
)
async def test_answers_an_endless_message(
    failing_job: FailingJob, script: Builder, announced: bytes, endlessly: str
) -> None:
    """The message is refused by its length, or abandoned with the calls; it is not buffered."""
    drips = "sleep" in endlessly
    program = script(
        f"{ACCEPTS}connection.sendall({announced!r})\n"
        f"try:\n    while True:\n        {endlessly}\n"
        "except OSError:\n    time.sleep(600)\n"
    )
    before = failing_job.agent.resident_bytes
    await failing_job(
        program,
        "calls-unanswered" if drips else "rpc-protocol",
        message="answered none" if drips else "does not speak net/rpc",
        process_exit=SIGTERM,
        stderr="here I am",
    )
    assert failing_job.agent.resident_bytes - before < MAX_GROWTH_BYTES


async def test_floods_stdout(failing_job: FailingJob, script: Builder) -> None:
    """200 MB (`make soak`: 1 GB) of invalid lines are logged and counted, and not buffered."""
    flood = f"""
{BLOCK}
for _ in range({FLOOD_MIB}):
    assert os.write(1, block) == len(block)
print("flooded", file=sys.stderr)
sys.exit(4)
"""
    before = failing_job.agent.resident_bytes
    job = await failing_job(
        script(flood),
        "exited",
        message="exited with code 4 before it listened",
        process_exit={"code": 4},
        stderr="flooded",
    )
    growth = failing_job.agent.resident_bytes - before
    print(f"{job['results']['invalid']} lines, memory grew by {growth / MIB:.1f} MiB")
    assert job["results"]["read"] == job["results"]["invalid"] == FLOOD_MIB * 1024
    assert failing_job.agent.run_log(job["id"], "bad").stat().st_size == FLOOD_MIB * MIB
    assert growth < MAX_GROWTH_BYTES


async def test_floods_stdout_without_end(idle_agent: Agent, script: Builder) -> None:
    """A run whose log reaches its limit ends."""
    agent = idle_agent
    agent.options["--max-log"] = "64MiB"
    await agent.start()
    flood = script(f"{BLOCK}\nwhile True:\n    os.write(1, block)\n")
    job = await agent.settled(await agent.queue("bad", flood, duration=1))
    assert (job["state"], job["reason"], job["exit"]) == ("failed", "disk-full", SIGTERM), job
    assert "The log of the run is longer than 67108864 bytes" in job["message"]
    # A flood goes on until SIGTERM ends it, so the log is longer on a faster machine.
    assert agent.run_log(job["id"], "bad").stat().st_size < 128 * MIB


async def test_prints_a_long_line(
    failing_job: FailingJob, collector: Collector, script: Builder
) -> None:
    """A line of 10 MB is one invalid line; the results around it are delivered."""
    text = f"""
print({RESULT!r})
print("x" * 10_000_000)
print({RESULT!r}, flush=True)
print("y" * 10_000_000, file=sys.stderr)
sys.exit(5)
"""
    before = failing_job.agent.resident_bytes
    job = await failing_job(
        script(text),
        "exited",
        message="exited with code 5 before it listened",
        process_exit={"code": 5},
        stderr="y" * 8191,
    )
    counts = {name: job["results"][name] for name in ("read", "invalid", "delivered")}
    assert counts == {"read": 3, "invalid": 1, "delivered": 2}
    assert len(collector.results("bad")) == 2
    assert job["stderr_tail"] == "y" * 8191
    assert failing_job.agent.resident_bytes - before < MAX_GROWTH_BYTES


async def test_closes_stdout_and_breaks(failing_job: FailingJob, script: Builder) -> None:
    """A closed stdout ends no job; the exit that follows does, and stderr has the reason."""
    # Exits at once after the traceback, together with the loss of the connection.
    at_once = "import atexit\natexit.register(os._exit, 1)\n"
    text = f"{at_once}{WITHOUT_STDOUT}        os.write(1, b'x')\n"
    job = await failing_job(
        script(text),
        "exited",
        message="exited with code 1 while the job ran",
        process_exit={"code": 1},
        stderr="OSError: [Errno 9] Bad file descriptor",
    )
    assert "Traceback" in job["stderr_tail"]


async def test_closes_stdout_and_continues(failing_job: FailingJob, script: Builder) -> None:
    """A load test without output runs for its whole duration."""
    job = await failing_job(script(WITHOUT_STDOUT), None, process_exit=SIGTERM)
    assert job["results"]["read"] == 0
    assert job["calls"]["ok"] > 25


async def test_cannot_be_executed(failing_job: FailingJob, script: Builder) -> None:
    """The message has the errno of an interpreter that does not exist."""
    job = await failing_job(
        script("", "/nonexistent"),
        "exec-failed",
        message="No such file or directory",
        process_exit={"code": 127},
    )
    assert "errno 2" in job["message"]


@pytest.mark.parametrize("load", LOADS)
async def test_drops_the_connection_and_lives(
    failing_job: FailingJob, script: Builder, load: dict[str, int]
) -> None:
    """A lost connection ends the job although the process continues to run."""
    await failing_job(
        script(ACCEPTS + "connection.close()\ntime.sleep(600)\n"),
        "rpc-lost",
        **load,
        message="closed the RPC connection and went on running",
        process_exit=SIGTERM,
        stderr="here I am",
    )
