"""Load tests that go wrong: each job ends in time with its own reason, and the next one runs.

The ten of the operators' list are numbered in what their tests print.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from peers.agent import Agent
from peers.collector import Collector

from goloagent.runs.timeouts import Timeouts

BOUNDS = Timeouts()
# From SIGTERM to the end, at most; and what a busy machine may add to any bound.
END_SECONDS = BOUNDS.grace_seconds + BOUNDS.pipes_seconds + BOUNDS.kill_seconds
SLACK_SECONDS = 5.0
MIB = 1 << 20
FLOOD_MIB = 1000 if os.environ.get("GOLO_SOAK") else 200

# A Python load test that takes one connection and its first bytes; what it does then follows.
TAKES_ONE_CONNECTION = """
import os, socket, sys, time
print("here I am", file=sys.stderr, flush=True)
host, port = os.environ["GOLO_RPC_ADDR"].rsplit(":", 1)
connection, _ = socket.create_server((host, int(port))).accept()
connection.recv(1)
"""
CHECKOUT = str(Path(__file__).parents[2])
ANSWERS_CALLS = f"""
import os, socket, sys
sys.path.insert(0, {CHECKOUT!r})
from goloagent.netrpc import Server
host, port = os.environ["GOLO_RPC_ADDR"].rsplit(":", 1)
connection, _ = socket.create_server((host, int(port))).accept()
server = Server()

def answer():
    for call in server.receive(connection.recv(65536)):
        connection.sendall(server.reply(call))
"""
RESULT = '{"status": 200, "timestamp": "2024-02-29T12:00:00Z"}'
# A mebibyte of lines of 1 KiB each that are no results.
BLOCK = 'block = (b"#" * 1023 + b"\\n") * 1024\n'


@attrs.frozen
class Ends:
    """Has a load test go wrong and a good one run after it."""

    agent: Agent
    good: Path

    async def __call__(
        self,
        what: str,
        loadtest: Path,
        reason: str | None,
        *,
        says: str = "",
        end: Mapping[str, object] | None = None,
        stderr: str = "",
        within: float = 0.0,
    ) -> dict[str, Any]:
        """Return the job once it and a good one after it are over, for the reason and in time.

        Args:
            what: says which it is; printed.
            says: stands in the message.
            end: how the process ended.
            stderr: stands in the last lines of stderr, which are none when it is empty.
            within: how long the job may take from its start.
        """
        bad = await self.agent.queue("bad", loadtest, duration=2)
        good = await self.agent.queue("good", self.good, duration=1)
        job = await self.agent.settled(bad, within + SLACK_SECONDS)
        started, ended = (
            datetime.fromisoformat(job[time].removesuffix("Z"))
            for time in ("started_at", "ended_at")
        )
        seconds = (ended - started).total_seconds()
        print(f"{what}: {job['state']}, {reason}, {seconds:.1f} s of at most {within:.0f} s")
        state = "finished" if reason is None else "failed"
        assert (job["state"], job["reason"], job["exit"]) == (state, reason, end), job
        assert says in (job["message"] or ""), job
        assert reason is None or job["message"].endswith(".") or reason == "calls-failed"
        assert stderr in job["stderr_tail"], job
        assert bool(stderr) == bool(job["stderr_tail"]), job
        assert len(job["stderr_tail"].splitlines()) <= 20
        assert seconds <= within + SLACK_SECONDS
        next_job = await self.agent.settled(good)
        assert (next_job["state"], next_job["results"]["delivered"]) == ("finished", 10), next_job
        return job


@pytest.fixture
def ends(agent: Agent, go_loadtest: Callable[..., Path]) -> Ends:
    """Return what queues a load test and a good one after it."""
    return Ends(agent, go_loadtest("counter", count=10))


@pytest_twisted.ensureDeferred
async def test_every_call_fails(ends: Ends, go_loadtest: Callable[..., Path]) -> None:
    """RPC errors do not stop the loop, and a run of nothing else is a failure that quotes one."""
    job = await ends(
        "every call fails",
        go_loadtest("counter", count=0, refuse="no such user"),
        "calls-failed",
        says="no such user",
        end={"code": 0},
        stderr="signal 15",
        within=2 + BOUNDS.quiet_seconds + END_SECONDS,
    )
    assert job["calls"]["ok"] == 0
    assert job["calls"]["failed"] == job["calls"]["started"] > 25


@pytest.mark.parametrize("code", [3, 0])
@pytest_twisted.ensureDeferred
async def test_exits_at_once(ends: Ends, script: Callable[..., Path], code: int) -> None:
    """An exit before any call is a failure, with whatever code: nothing was tested."""
    await ends(
        f"1 of 10, exits at once with {code}",
        script(f"echo 'no configuration' >&2\nexit {code}\n", "/bin/sh"),
        "exited",
        says=f"exited with code {code} before it listened",
        end={"code": code},
        stderr="no configuration",
        within=BOUNDS.pipes_seconds,
    )


@pytest_twisted.ensureDeferred
async def test_never_listens(ends: Ends, script: Callable[..., Path]) -> None:
    """It is given a minute to listen, and ended then; this one test takes that minute."""
    await ends(
        "2 of 10, never listens",
        script("echo 'thinking' >&2\nexec sleep 600\n", "/bin/sh"),
        "start-timeout",
        says="did not listen within 60 s: it must serve net/rpc on the address in GOLO_RPC_ADDR",
        end={"signal": "SIGTERM"},
        stderr="thinking",
        within=BOUNDS.start_seconds + END_SECONDS,
    )


@pytest_twisted.ensureDeferred
async def test_never_answers(ends: Ends, script: Callable[..., Path]) -> None:
    """Calls that do not return are waited for, within a bound, and then given up."""
    job = await ends(
        "3 of 10, listens and never answers",
        script(TAKES_ONE_CONNECTION + "time.sleep(600)\n"),
        "calls-unanswered",
        says="accepted calls and answered none",
        end={"signal": "SIGTERM"},
        stderr="here I am",
        within=2 + BOUNDS.drain_seconds + BOUNDS.output_seconds + END_SECONDS,
    )
    assert job["calls"]["in_flight"] == 25


@pytest.mark.parametrize(
    "garbage",
    # Each is long enough to be a whole message.
    [b"\x01" * 64, b"HTTP/1.1 400 Bad Request\r\n" * 4],
    ids=["not gob", "http"],
)
@pytest_twisted.ensureDeferred
async def test_answers_garbage(ends: Ends, script: Callable[..., Path], garbage: bytes) -> None:
    """What is not Go's net/rpc ends the job with a reason of its own."""
    await ends(
        f"4 of 10, answers {garbage[:12]!r}",
        script(f"{TAKES_ONE_CONNECTION}connection.sendall({garbage!r})\ntime.sleep(600)\n"),
        "rpc-protocol",
        says="does not speak net/rpc",
        end={"signal": "SIGTERM"},
        stderr="here I am",
        within=BOUNDS.connection_lost_seconds + BOUNDS.output_seconds + END_SECONDS,
    )


@pytest.mark.parametrize(
    ("announced", "endlessly"),
    [
        (b"\xfc\x40\x00\x00\x00", "connection.sendall(bytes(1 << 16))"),
        (b"\xfd\x10\x00\x00", "connection.sendall(bytes(1)); time.sleep(0.01)"),
    ],
    ids=["of 1 GiB", "of 1 MiB, a byte at a time"],
)
@pytest_twisted.ensureDeferred
async def test_answers_an_endless_message(
    ends: Ends, script: Callable[..., Path], announced: bytes, endlessly: str
) -> None:
    """It is refused by its length, or given up with the calls; never held."""
    dribbles = "sleep" in endlessly
    program = script(
        f"{TAKES_ONE_CONNECTION}connection.sendall({announced!r})\n"
        f"try:\n    while True:\n        {endlessly}\n"
        "except OSError:\n    time.sleep(600)\n"
    )
    before = ends.agent.resident_bytes
    await ends(
        f"5 of 10, answers an endless message: {announced!r}, then {endlessly}",
        program,
        "calls-unanswered" if dribbles else "rpc-protocol",
        says="answered none" if dribbles else "does not speak net/rpc",
        end={"signal": "SIGTERM"},
        stderr="here I am",
        within=2 + BOUNDS.drain_seconds + BOUNDS.output_seconds + END_SECONDS,
    )
    assert ends.agent.resident_bytes - before < 32 * MIB


@pytest_twisted.ensureDeferred
async def test_crashes_by_signal(
    ends: Ends, collector: Collector, go_loadtest: Callable[..., Path]
) -> None:
    """What it printed before an abort is delivered, and the signal named."""
    job = await ends(
        "6 of 10, crashes",
        go_loadtest("counter", count=1000, abort="yes"),
        "signalled",
        says="ended by SIGABRT before it was told to",
        end={"signal": "SIGABRT"},
        stderr="0x",
        within=2 + BOUNDS.pipes_seconds,
    )
    assert len(collector.results("bad")) == job["results"]["delivered"] == 1000


@pytest_twisted.ensureDeferred
async def test_floods_stdout(ends: Ends, script: Callable[..., Path]) -> None:
    """200 MB (`make soak`: 1 GB) of what is no result is logged and counted, and held nowhere."""
    flood = f"""
import os, sys
{BLOCK}
for _ in range({FLOOD_MIB}):
    assert os.write(1, block) == len(block)
print("flooded", file=sys.stderr)
sys.exit(4)
"""
    before = ends.agent.resident_bytes
    job = await ends(
        f"7 of 10, floods stdout with {FLOOD_MIB} MiB",
        script(flood),
        "exited",
        says="exited with code 4 before it listened",
        end={"code": 4},
        stderr="flooded",
        within=BOUNDS.start_seconds,
    )
    growth = (ends.agent.resident_bytes - before) / MIB
    print(f"7 of 10: {job['results']['invalid']} lines counted, memory grew by {growth:.1f} MiB")
    assert job["results"]["read"] == job["results"]["invalid"] == FLOOD_MIB * 1024
    assert ends.agent.run_log(job["id"], "bad").stat().st_size == FLOOD_MIB * MIB
    assert growth < 32


@pytest_twisted.ensureDeferred
async def test_floods_stdout_without_end(
    idle_agent: Agent, script: Callable[..., Path], go_loadtest: Callable[..., Path]
) -> None:
    """The log of a run has a limit, which ends the job."""
    idle_agent.options["--max-log"] = "64MiB"
    await idle_agent.start()
    ends = Ends(idle_agent, go_loadtest("counter", count=10))
    job = await ends(
        "floods stdout without end",
        script(f"import os\n{BLOCK}\nwhile True:\n    os.write(1, block)\n"),
        "disk-full",
        says="The log of the run is longer than 67108864 bytes",
        end={"signal": "SIGTERM"},
        within=BOUNDS.start_seconds,
    )
    assert idle_agent.run_log(job["id"], "bad").stat().st_size < 80 * MIB


@pytest_twisted.ensureDeferred
async def test_prints_a_long_line(
    ends: Ends, collector: Collector, script: Callable[..., Path]
) -> None:
    """A line of 10 MB is one invalid line, and costs the results around it nothing."""
    text = f"""
import os, sys
print({RESULT!r})
print("x" * 10_000_000)
print({RESULT!r}, flush=True)
print("y" * 10_000_000, file=sys.stderr)
sys.exit(5)
"""
    before = ends.agent.resident_bytes
    job = await ends(
        "8 of 10, prints a line of 10 MB",
        script(text),
        "exited",
        says="exited with code 5 before it listened",
        end={"code": 5},
        stderr="y" * 8191,
        within=BOUNDS.start_seconds,
    )
    growth = (ends.agent.resident_bytes - before) / MIB
    print(f"8 of 10: memory grew by {growth:.1f} MiB")
    counts = {name: job["results"][name] for name in ("read", "invalid", "delivered")}
    assert counts == {"read": 3, "invalid": 1, "delivered": 2}
    assert len(collector.results("bad")) == 2
    assert job["stderr_tail"] == "y" * 8191
    assert growth < 32


@pytest_twisted.ensureDeferred
async def test_closes_stdout_and_breaks(ends: Ends, script: Callable[..., Path]) -> None:
    """An end of stdout is no end; the exit that follows from it is, and stderr says why."""
    text = f"{ANSWERS_CALLS}\nos.close(1)\nwhile True:\n    answer()\n    os.write(1, b'x')\n"
    job = await ends(
        "9 of 10, closes stdout and breaks",
        script(text),
        "exited",
        says="exited with code 1 before it was told to",
        end={"code": 1},
        stderr="OSError: [Errno 9] Bad file descriptor",
        within=2 + BOUNDS.pipes_seconds,
    )
    assert "Traceback" in job["stderr_tail"]


@pytest_twisted.ensureDeferred
async def test_closes_stdout_and_goes_on(ends: Ends, script: Callable[..., Path]) -> None:
    """A load test that has nothing to say is one all the same: it is driven to its end."""
    text = f"{ANSWERS_CALLS}\nos.close(1)\nwhile True:\n    answer()\n"
    job = await ends(
        "9 of 10, closes stdout and goes on",
        script(text),
        None,
        end={"signal": "SIGTERM"},
        within=2 + BOUNDS.output_seconds + END_SECONDS,
    )
    assert job["results"]["read"] == 0
    assert job["calls"]["ok"] > 25


@pytest_twisted.ensureDeferred
async def test_cannot_be_executed(ends: Ends, script: Callable[..., Path]) -> None:
    """The system's reason comes with its number: the interpreter does not exist."""
    job = await ends(
        "cannot be executed",
        script("", "/nonexistent"),
        "exec-failed",
        says="No such file or directory",
        end={"code": 127},
        within=END_SECONDS,
    )
    assert "errno 2" in job["message"]


@pytest_twisted.ensureDeferred
async def test_drops_the_connection_and_lives(ends: Ends, script: Callable[..., Path]) -> None:
    """A lost connection ends the job although the process goes on; nothing calls it again."""
    await ends(
        "drops the connection and lives",
        script(TAKES_ONE_CONNECTION + "connection.close()\ntime.sleep(600)\n"),
        "rpc-lost",
        says="closed the RPC connection and went on running",
        end={"signal": "SIGTERM"},
        stderr="here I am",
        within=BOUNDS.connection_lost_seconds + BOUNDS.output_seconds + END_SECONDS,
    )
