"""``golo run`` as a real process: with a private agent and with a daemon, and its exit codes."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.golo import left_over, start_golo
from peers.programs import Builder
from peers.target import Target
from twisted.internet import reactor, task

from goloagent.client.exit_codes import ExitCode
from goloagent.report import codec

QUICK = """
from goloagent.sdk import report, serve

def journey():
    time.sleep(0.01)
    report(method="GET", url="https://shop.example/", status=200, size=1, duration_seconds=0.01)

serve(journey)
"""
ENDS_EARLY = "sys.exit('no configuration')"
ALL_CALLS_FAIL = """
from goloagent.sdk import serve

def journey():
    time.sleep(0.02)
    raise ConnectionError("connection refused")

serve(journey)
"""


@pytest.fixture
def quick(script: Builder) -> Path:
    """Build a load test whose calls take 10 ms."""
    return script(QUICK)


async def test_a_url_needs_nothing(target: Target, tmp_path: Path) -> None:
    """Served are as many requests as there are results, and nothing is left behind."""
    golo = start_golo(
        reactor, tmp_path, "run", target.url, "-r", "50", "-d", "2", "--json", "report.json"
    )
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err
    report = codec.decode((tmp_path / "report.json").read_bytes())
    assert report.calls.scheduled == report.results.valid == target.served == 100
    assert report.outcome is not None
    assert report.outcome.exit_code == 0
    assert left_over(tmp_path) == []
    assert golo.err == ""


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("given", [TRACE, "garbage"])
async def test_a_trace_continues_in_the_load_test(
    script: Builder, tmp_path: Path, given: str
) -> None:
    """The variable of golo reaches the load test; an invalid one is ignored."""
    program = script(f"print(os.environ.get('TRACEPARENT'), file=sys.stderr, flush=True)\n{QUICK}")
    golo = start_golo(
        *(reactor, tmp_path, "run", program, "-u", "1", "-d", "100ms", "--json", "report.json"),
        environ={"TRACEPARENT": given},
    )
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err
    [agent] = json.loads((tmp_path / "report.json").read_bytes())["agents"]
    assert agent["stderr_tail"].split() == ["None" if given == "garbage" else given]


async def test_a_url_of_an_unknown_host(tmp_path: Path) -> None:
    """The sentence is about the host, and not about the load test."""
    golo = start_golo(reactor, tmp_path, "run", "http://no-such-host.invalid/", "-q")
    assert await golo.exit_code() == ExitCode.LOAD_TEST
    assert "no address of no-such-host.invalid" in golo.out.splitlines()[-1]
    assert "net/rpc" not in golo.out


async def test_a_command_is_a_load_test(target: Target, tmp_path: Path) -> None:
    """Each iteration runs the command, and its exit code is the result."""
    words = ("run", "--exec", "-u", "2", "-d", "1", "--json", "-", "--", "curl", "-sf", target.url)
    golo = start_golo(reactor, tmp_path, *words)
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err
    report = json.loads(golo.out)
    assert report["results"]["valid"] == target.served > 0
    golo = start_golo(reactor, tmp_path, "run", "--exec", "-u", "2", "-d", "1", "--", "false")
    assert await golo.exit_code() == ExitCode.THRESHOLD
    assert "exit code 1" in golo.out
    assert left_over(tmp_path) == []


async def test_a_command_of_this_directory(tmp_path: Path) -> None:
    """With a private agent, a command and its files are those of the current directory."""
    (tmp_path / "check.sh").write_text("#!/bin/sh\ngrep -q hello input.txt\n")
    (tmp_path / "check.sh").chmod(0o755)
    (tmp_path / "input.txt").write_text("hello\n")
    golo = start_golo(reactor, tmp_path, "run", "--exec", "-u", "2", "-d", "1", "--", "./check.sh")
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err
    assert left_over(tmp_path) == []


async def test_a_script_with_variables(target: Target, tmp_path: Path) -> None:
    """A .py file without a first line and without rights is enough."""
    script = tmp_path / "my_test.py"
    script.write_text(
        "import os, urllib.request\n"
        "from goloagent.sdk import report, serve\n"
        "def run():\n"
        "    with urllib.request.urlopen(os.environ['TARGET']) as response:\n"
        "        report(method='GET', url='/', status=response.status, duration_seconds=0.001)\n"
        "serve(run)\n"
    )
    golo = start_golo(
        reactor, tmp_path, "run", script, "-e", f"TARGET={target.url}", "-u", "2", "-d", "1",
        "--json", "r.json",
    )  # fmt: skip
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err
    report = codec.decode((tmp_path / "r.json").read_bytes())
    assert report.results.valid == target.served > 0


async def test_a_job_file(agent: Agent, collector: Collector, quick: Path, tmp_path: Path) -> None:
    """The file has the job, variables win over it, and options win over both."""
    (tmp_path / "job.toml").write_text(
        f'type = "job"\nname = "from-file"\nprogram = "{quick}"\nusers = 50\nduration = "9m"\n'
        '[thresholds]\nduration = ["p(95)<10s"]\n[tags]\nrelease = "7"\n'
        f'[fleet]\nprovider = "127.0.0.1:{agent.port}"\n'
    )
    golo = start_golo(
        reactor, tmp_path, "run", "job.toml", "-d", "1", "--json", "r.json",
        "-t", "errors: rate<1%",
        environ={"GOLO_USERS": "3", "GOLO_DURATION": "8m"},
    )  # fmt: skip
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err
    report = codec.decode((tmp_path / "r.json").read_bytes())
    assert (report.name, report.users, report.planned_duration) == ("from-file", 3, 1)
    assert report.tags == {"release": "7"}
    assert report.verdict is not None
    assert [check.metric for check in report.verdict.checks] == ["duration", "errors"]
    assert len(collector.results("from-file")) == report.results.valid
    [duty] = [duty for duty in report.duties if duty.name == "delivered"]
    assert duty.passed


async def test_a_threshold_fails(quick: Path, tmp_path: Path) -> None:
    """99, with the value."""
    golo = start_golo(
        reactor, tmp_path, "run", quick, "-u", "2", "-d", "1", "-t", "duration: p(95)<1ms"
    )
    assert await golo.exit_code() == ExitCode.THRESHOLD
    assert "10 ms" in golo.out


@pytest.mark.parametrize(
    ("program", "sentence"),
    [(ENDS_EARLY, "no configuration"), (ALL_CALLS_FAIL, "connection refused")],
)
async def test_the_load_test_fails(
    script: Builder, tmp_path: Path, program: str, sentence: str
) -> None:
    """107, with the reason."""
    golo = start_golo(reactor, tmp_path, "run", script(program), "-u", "2", "-d", "1")
    assert await golo.exit_code() == ExitCode.LOAD_TEST
    assert sentence in golo.out
    assert left_over(tmp_path) == []


async def test_interrupted_once(quick: Path, tmp_path: Path) -> None:
    """105 with a partial verdict: the calls in flight return."""
    golo = start_golo(reactor, tmp_path, "run", quick, "-u", "2", "-d", "60", "--json", "r.json")
    await golo.printed("running")
    golo.send(signal.SIGINT)
    assert await golo.exit_code() == ExitCode.INTERRUPTED
    report = codec.decode((tmp_path / "r.json").read_bytes())
    assert (report.state, report.calls.in_flight) == ("finished", 0)
    assert left_over(tmp_path) == []


async def test_interrupted_twice(script: Builder, tmp_path: Path) -> None:
    """105, and the job is cancelled although its calls do not return."""
    slow = QUICK.replace("0.01)\n    report", "30)\n    report")
    golo = start_golo(
        reactor, tmp_path, "run", script(slow), "-u", "2", "-d", "60", "--json", "r.json"
    )
    await golo.printed("running")
    golo.send(signal.SIGINT)
    await golo.printed("once more")
    golo.send(signal.SIGINT)
    assert await golo.exit_code() == ExitCode.INTERRUPTED
    assert codec.decode((tmp_path / "r.json").read_bytes()).state == "cancelled"
    assert left_over(tmp_path) == []


async def test_interrupted_before_the_load(quick: Path, tmp_path: Path) -> None:
    """105, and nothing is left."""
    golo = start_golo(reactor, tmp_path, "run", quick, "--start-in", "1h")
    await golo.printed("waiting until")
    golo.send(signal.SIGINT)
    assert await golo.exit_code() == ExitCode.INTERRUPTED
    assert left_over(tmp_path) == []


async def test_a_killed_client_leaves_nothing(quick: Path, tmp_path: Path) -> None:
    """After a kill -9 the private agent ends within its lease."""
    golo = start_golo(reactor, tmp_path, "run", quick, "-u", "2", "-d", "600")
    await golo.printed("running")
    golo.send(signal.SIGKILL)
    assert await golo.exit_code() == -signal.SIGKILL
    assert left_over(tmp_path) != []
    for _ in range(1200):
        if not left_over(tmp_path):
            return
        await task.deferLater(reactor, 0.05)
    raise AssertionError(left_over(tmp_path))


async def test_another_client_attaches(quick: Path, tmp_path: Path) -> None:
    """After a kill -9 of the client the run can be followed to its verdict."""
    golo = start_golo(reactor, tmp_path, "run", quick, "-u", "2", "-d", "6")
    await golo.printed("running")
    golo.send(signal.SIGKILL)
    assert await golo.exit_code() == -signal.SIGKILL
    again = start_golo(reactor, tmp_path, "attach", "--json", "r.json")
    assert await again.exit_code() == ExitCode.OK, again.out + again.err
    report = codec.decode((tmp_path / "r.json").read_bytes())
    assert report.state == "finished"
    # Those before it attached, too.
    assert report.results.valid == report.calls.ok > 100


async def test_a_detached_run(agent: Agent, quick: Path, tmp_path: Path) -> None:
    """It goes on without its client, which names it."""
    where = ("-p", f"127.0.0.1:{agent.port}")
    golo = start_golo(reactor, tmp_path, "run", quick, *where, "-u", "1", "-d", "2", "--detach")
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err
    run = golo.out.split()[-1]
    golo = start_golo(reactor, tmp_path, "attach", run, *where)
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err
    assert run in golo.out


async def test_an_agent_is_lost(agent: Agent, quick: Path, tmp_path: Path) -> None:
    """120, named, within some seconds more than ten."""
    where = f"127.0.0.1:{agent.port}"
    golo = start_golo(reactor, tmp_path, "run", quick, "-p", where, "-u", "2", "-d", "60")
    await golo.printed("running")
    await agent.kill()
    assert await golo.exit_code() == ExitCode.AGENTS_LOST
    assert f"Lost: {where}" in golo.out
    await agent.start()


async def test_an_agent_is_not_ready(agent: Agent, quick: Path, tmp_path: Path) -> None:
    """121: another job runs, so this one is taken back and made no call."""
    busy = await agent.queue("busy", quick, duration=60, users=1)
    await agent.reached(busy, "running")
    golo = start_golo(
        reactor, tmp_path, "run", quick, "-p", f"127.0.0.1:{agent.port}", "--ready-timeout", "1"
    )
    assert await golo.exit_code() == ExitCode.NOT_READY, golo.out + golo.err
    assert "not ready within 1 s" in golo.out
    [mine] = [
        job for job in (await agent.request("GET", "/jobs")).json["jobs"] if job["id"] != busy
    ]
    assert (mine["state"], mine["calls"]["started"]) == ("cancelled", 0)
    agent.jobs.append(mine["id"])


async def test_the_generator_is_the_limit(agent: Agent, quick: Path, tmp_path: Path) -> None:
    """122 with --strict: the agent stood still for a second."""
    golo = start_golo(
        reactor, tmp_path, "run", quick, "-p", f"127.0.0.1:{agent.port}", "-u", "2", "-d", "5",
        "--strict",
    )  # fmt: skip
    await golo.printed("running")
    agent.send(signal.SIGSTOP)
    await task.deferLater(reactor, 1.5)
    agent.send(signal.SIGCONT)
    assert await golo.exit_code() == ExitCode.LIMITED, golo.out + golo.err
    assert "loop-lag" in golo.out


async def test_results_are_not_delivered(
    agent: Agent, collector: Collector, quick: Path, tmp_path: Path
) -> None:
    """123: the collector is down, and the results wait."""
    await collector.close()
    golo = start_golo(
        reactor, tmp_path, "run", quick, "-p", f"127.0.0.1:{agent.port}", "-u", "2", "-d", "1",
        "--delivery-timeout", "1",
    )  # fmt: skip
    assert await golo.exit_code() == ExitCode.UNDELIVERED, golo.out + golo.err
    assert "not delivered within 1 s" in golo.out
    collector.open()


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("127.0.0.1:1", "connection refused"),
        ("unix:/nonexistent/agent.sock", "no such file"),
        ("no-such-host.invalid", "cannot be resolved"),
    ],
)
async def test_no_agent_is_there(quick: Path, tmp_path: Path, where: str, sentence: str) -> None:
    """104: nothing was touched."""
    golo = start_golo(reactor, tmp_path, "run", quick, "-p", where)
    assert await golo.exit_code() == ExitCode.INVALID
    assert sentence in golo.err.lower()
    assert golo.err.count("\n") == 1


async def test_something_else_is_there(quick: Path, tmp_path: Path, target: Target) -> None:
    """104: the answer is not an agent's."""
    golo = start_golo(reactor, tmp_path, "run", quick, "-p", target.url)
    assert await golo.exit_code() == ExitCode.INVALID
    assert "is it an agent?" in golo.err


async def test_a_token_is_missing(idle_agent: Agent, quick: Path, tmp_path: Path) -> None:
    """104 without the token and with a wrong one; with it the run passes."""
    idle_agent.require_token()
    await idle_agent.start()
    words = ("run", quick, "-p", f"127.0.0.1:{idle_agent.port}", "-u", "1", "-d", "1")
    (tmp_path / "wrong").write_text("wrong")
    for more in ((), ("--token-file", "wrong")):
        golo = start_golo(reactor, tmp_path, *words, *more)
        assert await golo.exit_code() == ExitCode.INVALID
        assert "--token-file" in golo.err
    golo = start_golo(reactor, tmp_path, *words, "--token-file", "token")
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err


async def test_steering_from_another_terminal(agent: Agent, quick: Path, tmp_path: Path) -> None:
    """A run can be listed, changed, read and ended."""
    where = ("-p", f"127.0.0.1:{agent.port}")
    golo = start_golo(reactor, tmp_path, "run", quick, *where, "-u", "2", "-d", "60")
    await golo.printed("running")

    async def command(*words: str) -> str:
        other = start_golo(reactor, tmp_path, *words, *where)
        assert await other.exit_code() == 0, other.err
        return other.out

    assert "running" in await command("runs")
    assert "ready" in await command("agents")
    assert "users=3" in await command("set", "last", "users=3")
    for change in ("pause", "resume"):
        assert (await command("set", "last", change)).endswith(f": {change}\n")
    assert '"status":200' in (await command("logs")).replace(" ", "")
    assert "calls in flight return" in await command("stop", "last")
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err
    assert "users=3" in golo.out


async def test_reports_of_runs(agent: Agent, quick: Path, tmp_path: Path) -> None:
    """The report of a run is that of its agent, while it runs and when it is over."""
    host = f"127.0.0.1:{agent.port}"
    job_id = await agent.queue("shop", quick, users=2, duration=60)
    await agent.reached(job_id, "running")
    golo = start_golo(reactor, tmp_path, "report", job_id[:8], "-p", host, "-o", "now.html")
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err
    assert codec.decode((tmp_path / "now.html").read_bytes()).state == "running"
    await agent.request("DELETE", f"/jobs/{job_id}")
    job = await agent.settled(job_id)
    golo = start_golo(reactor, tmp_path, "report", "-p", host, "--json")
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err
    report = codec.decode(golo.out.encode())
    assert (report.run, report.state) == (job_id, "cancelled")
    assert report.calls.started == job["calls"]["started"]
    assert report.latency.duration is not None
    assert report.latency.duration.count == job["results"]["valid"]
