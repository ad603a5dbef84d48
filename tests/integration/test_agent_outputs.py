"""Several outputs of an agent over its API: accounts, states, choice, giving up, metrics."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

from peers.agent import Agent
from peers.collector import Collector
from peers.exposition import samples
from peers.notes import Notes
from peers.waiting import until
from twisted.internet import reactor, task
from twisted.internet.defer import ensureDeferred


async def outputs_of(agent: Agent, job_id: str) -> dict[str, Any]:
    """Return the outputs of a job, whose accounts are checked."""
    outputs: dict[str, Any] = (await agent.job(job_id))["outputs"]
    return outputs


async def reached(agent: Agent, job_id: str, name: str, **members: Any) -> dict[str, Any]:
    """Return the outputs of a job once one of them has these members."""

    async def wait() -> dict[str, Any]:
        while True:
            found = await outputs_of(agent, job_id)
            if members.items() <= found[name].items():
                return found
            await task.deferLater(reactor, 0.05)

    return await ensureDeferred(wait()).addTimeout(60, reactor)


async def test_each_output_gets_all_results(
    outputs_agent: Agent, collector: Collector, archive: Collector, numbered: Notes
) -> None:
    """The job has an account for each, and so do the list, the events, /health and the metrics."""
    agent = outputs_agent
    await agent.start()
    assert f"output archive: collector+{archive.url}\n" in agent.log
    await until(lambda: f"output archive {archive.url}: reachable" in agent.log)
    job_id = await agent.queue("shop", numbered.script(count=1000), duration=1)
    found = await reached(agent, job_id, "archive", complete=True)
    found = await reached(agent, job_id, "collector", complete=True)
    assert list(found) == ["collector", "archive"]
    for output in found.values():
        assert output == {
            **output,
            **{"state": "ok", "required": True, "unit": "result", "last_error": None},
            **{"delivered": 1000, "pending": 0, "rejected": 0, "abandoned": 0, "lag_seconds": 0},
        }
    assert collector.results("shop") == archive.results("shop")
    assert len(archive.results("shop")) == 1000
    listed = (await agent.request("GET", "/jobs")).json["jobs"][0]
    assert listed["outputs"] == found
    health = (await agent.request("GET", "/health")).json["outputs"]
    assert {name: one["state"] for name, one in health.items()} == {
        "collector": "ok",
        "archive": "ok",
    }
    assert health["archive"]["url"] == archive.url
    metrics = samples((await agent.request("GET", "/metrics")).text)
    for name in ("collector", "archive"):
        assert metrics[f'golo_agent_output_delivered_total{{output="{name}"}}'] == 1000
        assert metrics[f'golo_agent_output_up{{output="{name}"}}'] == 1
        assert metrics[f'golo_agent_output_pushes_total{{outcome="taken",output="{name}"}}'] >= 1
    assert metrics["golo_agent_results_delivered_total"] == 1000


async def test_one_output_is_down(
    outputs_agent: Agent, collector: Collector, archive: Collector, numbered: Notes
) -> None:
    """Its trouble is its own: it is named with its address, and its results can be given up."""
    agent = outputs_agent
    await archive.close()
    await agent.start()
    line = f"output archive {archive.url}: not reachable (connection refused); results are stored"
    await until(lambda: line in agent.log)
    assert agent.log.count("not reachable") == 1
    job_id = await agent.queue("shop", numbered.script(count=1000), duration=1)
    await agent.settled(job_id)
    found = await reached(agent, job_id, "archive", state="retrying", complete=False)
    assert found["collector"]["complete"]
    assert (found["archive"]["pending"], found["archive"]["delivered"]) == (1000, 0)
    assert found["archive"]["last_error"] == "connection refused"
    assert found["archive"]["lag_seconds"] > 0
    health = (await agent.request("GET", "/health")).json
    assert health["status"] == "ready"
    archived = health["outputs"]["archive"]
    assert (archived["state"], archived["pending"]) == ("retrying", 1000)
    metrics = samples((await agent.request("GET", "/metrics")).text)
    assert metrics['golo_agent_output_up{output="archive"}'] == 0
    assert metrics['golo_agent_output_up{output="collector"}'] == 1
    assert metrics['golo_agent_output_pending{output="archive"}'] == 1000
    assert metrics['golo_agent_output_state{output="archive",state="retrying"}'] == 1

    answer = await agent.request("DELETE", f"/jobs/{job_id}/results?output=nothing")
    assert answer.status == 400
    assert answer.text == 'output: the job has no "nothing"; it has collector, archive\n'
    answer = await agent.request("DELETE", f"/jobs/{job_id}/results?output=archive")
    assert (answer.status, answer.json["abandoned"], answer.json["pending"]) == (200, 1000, 0)
    found = await outputs_of(agent, job_id)
    assert found["archive"]["complete"]
    assert (found["collector"]["delivered"], found["collector"]["abandoned"]) == (1000, 0)
    assert f"abandon peer=127.0.0.1 job={job_id} output=archive results=1000" in agent.log


async def test_a_job_chooses_its_outputs(
    outputs_agent: Agent, collector: Collector, archive: Collector, numbered: Notes
) -> None:
    """The others get nothing; an unknown one is refused with those that there are."""
    agent = outputs_agent
    await agent.start()
    binary = await agent.upload(numbered.script(count=100))
    job_id = await agent.queue("shop", binary, duration=1, outputs=["archive"])
    found = await reached(agent, job_id, "archive", complete=True)
    assert list(found) == ["archive"]
    assert (len(archive.results("shop")), collector.results("shop")) == (100, [])
    body = json.dumps({"binary": binary, "outputs": ["archive", "prom"]}).encode()
    answer = await agent.request("POST", "/queue", data=body)
    sentence = 'outputs: this agent has no output "prom"; it has collector, archive\n'
    assert (answer.status, answer.text) == (400, sentence)


async def test_an_output_that_the_agent_has_no_more(
    outputs_agent: Agent, archive: Collector, numbered: Notes
) -> None:
    """Its results wait for a start with it, and the job says so."""
    agent = outputs_agent
    await archive.close()
    await agent.start()
    job_id = await agent.queue("shop", numbered.script(count=100), duration=1)
    await agent.settled(job_id)
    await agent.stop()
    options, agent.more = agent.more, ()
    await agent.start()
    found = await outputs_of(agent, job_id)
    assert (found["archive"]["state"], found["archive"]["pending"]) == ("holding", 100)
    assert "archive" in found["archive"]["last_error"]
    await agent.stop()
    agent.more = options
    archive.open()
    await agent.start()
    await reached(agent, job_id, "archive", delivered=100, complete=True)
    assert len(archive.results("shop")) == 100


async def test_an_older_agent_has_used_the_state(
    outputs_agent: Agent, collector: Collector, archive: Collector, numbered: Notes
) -> None:
    """It settles the job when the collector has all results; the other output gets its own."""
    agent = outputs_agent
    await archive.close()
    await agent.start()
    job_id = await agent.queue("shop", numbered.script(count=1000), duration=1)
    await agent.settled(job_id)
    await agent.stop()
    with closing(sqlite3.connect(agent.state / "golo-agent.sqlite")) as database, database:
        database.execute("UPDATE jobs SET settled = 1")
    archive.open()
    await agent.start()
    await reached(agent, job_id, "archive", delivered=1000, complete=True)
    assert (len(collector.results("shop")), len(archive.results("shop"))) == (1000, 1000)
