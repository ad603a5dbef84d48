"""Results and Go's encoding/json: what go-lo load tests print, and what go-lo collectors refuse."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_twisted
from peers.agent import Agent
from peers.collector import Collector
from peers.lines import select
from peers.programs import Builder
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

COUNT = 256
# Valid results that a collector in Go cannot decode.
REFUSED = {"7": '"STATUS":"x"', "77": '"error":1e999', "200": '"timestamp":"x"'}
LOAD_TEST = """
import json, sys
sys.path.insert(0, {checkout!r})
for number in range({count}):
    more = {refused!r}.get(str(number), '"error":null')
    end = '"timestamp":"2026-01-02T03:04:05Z"}}'
    print('{{"sequenceID":"%d",%s,%s' % (number, more, end))
from goloagent import sdk

sdk.serve(lambda: None)
"""


def test_lines_of_go_are_results(go_loadtest: Builder) -> None:
    """Every line that encoding/json prints for a go-lo result is valid."""
    printed = subprocess.run([go_loadtest("gojson"), "print"], stdout=subprocess.PIPE, check=True)
    lines = printed.stdout.splitlines()
    print(f"{len(lines)} lines of Go")
    assert select(printed.stdout) == lines
    assert len(lines) == 900


@pytest_twisted.async_yield_fixture
async def agent(go_loadtest: Builder, collector: Collector, tmp_path: Path) -> AsyncIterator[Agent]:
    """Return an agent that delivers to a collector in Go, whose accepted results are in a file."""
    agent = Agent(reactor, tmp_path, collector)
    accepted = tmp_path / "accepted"
    with (
        accepted.open("wb") as file,
        subprocess.Popen([go_loadtest("gojson"), "collect"], stdout=file) as process,
    ):
        while not (url := accepted.read_text(encoding="utf-8")).endswith("\n"):
            await deferToThread(process.poll)
        agent.options["--collector"] = url.strip()
        await agent.start()
        yield agent
        process.kill()
    assert await agent.stop() == 0
    await agent.close()


async def test_a_line_that_a_go_collector_refuses_is_found(
    agent: Agent, script: Builder, tmp_path: Path
) -> None:
    """A batch with lines that Go cannot decode is split until only those lines are refused."""
    text = LOAD_TEST.format(checkout=str(Path(__file__).parents[2]), count=COUNT, refused=REFUSED)
    job_id = await agent.queue("go", script(text), duration=0)
    results = (await agent.settled(job_id))["results"]
    assert (results["valid"], results["delivered"]) == (COUNT, COUNT - len(REFUSED))
    rejected = agent.run_log(job_id, "go", "rejected.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in rejected.splitlines()]
    assert {line["status"] for line in lines} == {400}
    assert [json.loads(line["result"])["sequenceID"] for line in lines] == list(REFUSED)
    accepted = (tmp_path / "accepted").read_text(encoding="utf-8").splitlines()[1:]
    assert accepted == [str(number) for number in range(COUNT) if str(number) not in REFUSED]
