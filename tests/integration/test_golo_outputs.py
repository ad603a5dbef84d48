"""``golo run --output``: outputs of a private agent and of a daemon, and what they lack."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.golo import left_over, start_golo
from peers.ports import free_port
from peers.programs import Builder
from twisted.internet import reactor

from goloagent.client.exit_codes import ExitCode
from goloagent.report import codec
from goloagent.report.model import Report

LOAD_TEST = """
from goloagent.sdk import report, serve

def journey():
    time.sleep(0.01)
    report(method="GET", url="https://shop.example/", status=200, size=1, duration_seconds=0.01)

serve(journey)
"""


@pytest.fixture
def program(script: Builder) -> Path:
    """Build a load test whose calls take 10 ms."""
    return script(LOAD_TEST)


def read_report(directory: Path) -> Report:
    """Return the report that golo has written."""
    return codec.decode((directory / "report.json").read_bytes())


def delivered(report: Report) -> tuple[bool | None, str]:
    """Return the duty of the delivery."""
    [duty] = [duty for duty in report.duties if duty.name == "delivered"]
    return duty.passed, duty.sentence


async def test_a_private_agent_sends_to_outputs(
    collector: Collector, program: Path, tmp_path: Path
) -> None:
    """Without a daemon: each output has every result when golo ends, and nothing is left."""
    golo = start_golo(
        *(reactor, tmp_path, "run", program, "-u", "2", "-d", "1", "--name", "shop"),
        *("-o", f"archive=collector+{collector.url}", "--output", "file=jsonl:results.jsonl"),
        *("--json", "report.json"),
    )
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err
    report = read_report(tmp_path)
    valid = report.results.valid
    assert valid > 0
    assert len(collector.results("shop")) == valid
    lines = (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["result"] for line in lines] == collector.results("shop")
    [agent] = report.agents
    assert {name: one.delivered for name, one in agent.outputs.items()} == {
        "archive": valid,
        "file": valid,
    }
    assert delivered(report) == (True, f"All {valid:,} results were delivered to archive and file.")
    assert f"archive: {valid} of {valid} results" in golo.out
    assert left_over(tmp_path) == []


async def test_an_output_that_is_not_there(
    collector: Collector, program: Path, tmp_path: Path
) -> None:
    """A required one fails the run after a bounded time, another one is named only."""
    missing = f"http://127.0.0.1:{free_port()}"
    words = ("run", program, "-u", "1", "-d", "500ms", "--name", "shop", "--json", "report.json")
    both = ("-o", f"here=collector+{collector.url}", "-o", f"gone=collector+{missing}")
    golo = start_golo(reactor, tmp_path, *words, *both, "--delivery-timeout", "1")
    assert await golo.exit_code() == ExitCode.UNDELIVERED, golo.out + golo.err
    report = read_report(tmp_path)
    valid = report.results.valid
    assert len(collector.results("shop")) == valid > 0
    passed, sentence = delivered(report)
    assert passed is False
    assert sentence == (
        f"{valid} of {valid} results were not delivered to gone within 1 s: connection refused."
    )
    assert sentence in golo.out
    golo = start_golo(reactor, tmp_path, *words, *both[:3], f"{both[3]}?required=no")
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err
    assert "gone, which is not required, lacks" in delivered(read_report(tmp_path))[1]
    assert left_over(tmp_path) == []


async def test_an_interrupt_ends_the_wait_for_outputs(program: Path, tmp_path: Path) -> None:
    """As for the collector of a daemon."""
    golo = start_golo(
        *(reactor, tmp_path, "run", program, "-u", "1", "-d", "500ms"),
        *("-o", f"gone=collector+http://127.0.0.1:{free_port()}"),
    )
    await golo.printed("waiting for the delivery of results")
    golo.send(signal.SIGINT)
    assert await golo.exit_code() == ExitCode.INTERRUPTED, golo.out + golo.err
    assert left_over(tmp_path) == []


async def test_a_setting_that_the_agent_refuses(program: Path, tmp_path: Path) -> None:
    """The sentence of the private agent is that of golo."""
    golo = start_golo(reactor, tmp_path, "run", program, "-o", "a=influx+http://127.0.0.1:1")
    assert await golo.exit_code() == ExitCode.NOT_READY, golo.out + golo.err
    assert "--output a: " in golo.err
    assert left_over(tmp_path) == []


async def test_a_daemon_has_its_own_outputs(
    outputs_agent: Agent, collector: Collector, archive: Collector, program: Path, tmp_path: Path
) -> None:
    """A name chooses one; by default all are required; an unknown one is refused by the agent."""
    await outputs_agent.start()
    words = ("-p", f"127.0.0.1:{outputs_agent.port}", "-u", "1", "-d", "500ms", "--name", "shop")
    golo = start_golo(
        reactor, tmp_path, "run", program, *words, "-o", "archive", "--json", "report.json"
    )
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err
    valid = read_report(tmp_path).results.valid
    assert (len(archive.results("shop")), collector.results("shop")) == (valid, [])
    golo = start_golo(reactor, tmp_path, "run", program, *words, "-o", "prom")
    assert await golo.exit_code() == ExitCode.INVALID, golo.out + golo.err
    assert 'this agent has no output "prom"; it has collector, archive' in golo.err
    archive.answer = lambda name: 503
    golo = start_golo(reactor, tmp_path, "run", program, *words, "--delivery-timeout", "1")
    assert await golo.exit_code() == ExitCode.UNDELIVERED, golo.out + golo.err
    assert "not delivered to archive within 1 s: 503" in golo.out
    archive.answer = lambda name: 200
    [run] = (await outputs_agent.request("GET", "/jobs?limit=1")).json["jobs"]
    golo = start_golo(reactor, tmp_path, "attach", run["run"]["id"], *words[:2])
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err


async def test_check_names_the_outputs(program: Path, tmp_path: Path) -> None:
    """Nothing is sent, and a wrong one has its sentence."""
    golo = start_golo(
        *(reactor, tmp_path, "check", program),
        *("-o", "a=influx+http://h:8086?database=d&required=no", "-o", "b=exec:store --key k"),
    )
    assert await golo.exit_code() == ExitCode.OK, golo.out + golo.err
    assert "output      a: influx+http://h:8086, not required\n" in golo.out
    assert "output      b: exec:store\n" in golo.out
    golo = start_golo(reactor, tmp_path, "check", program, "-o", "a=influx+http://h?databse=d")
    assert await golo.exit_code() == ExitCode.INVALID
    assert "there is no member databse; the members are database" in golo.err
