"""O1, O2: one job to six real sinks, with an outage, a slow sink and two kills of the agent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from peers.agent import OVER, Agent
from peers.influxdb import InfluxDb
from peers.kafka import Tansu
from peers.lines import select
from peers.notes import Notes
from peers.postgresql import PostgreSQL
from peers.prometheus import NATIVE, RECEIVER, Prometheus, VictoriaMetrics
from peers.toxics import Proxy, Toxic
from twisted.internet import reactor, task

LINES_PER_SECOND = 2_000
OUTAGE_SECONDS = 30
MAX_GROWTH_BYTES = 16 * 1024 * 1024
HEALTHY = ("kafka", "jsonl", "prometheus", "victoria")

pytestmark = pytest.mark.full


@attrs.frozen
class Sinks:
    """The six servers; requests to InfluxDB take 0.4 s more."""

    influx: InfluxDb
    slow: Proxy
    victoria: VictoriaMetrics
    prometheus: Prometheus
    database: PostgreSQL
    broker: Tansu
    file: Path

    @property
    def options(self) -> tuple[str, ...]:
        """The outputs of an agent to them."""
        outputs = {
            "influx": f"influx+{self.slow.url}?database={self.influx.database}",
            "victoria": f"prometheus+{self.victoria.url}/api/v1/write?histograms=classic",
            "prometheus": f"prometheus+{self.prometheus.url}/api/v1/write",
            "postgresql": f"{self.database.url}?timeout=5s",
            "kafka": self.broker.url(),
            "jsonl": f"jsonl:{self.file}",
        }
        return tuple(
            word for name, url in outputs.items() for word in ("--output", f"{name}={url}")
        )


@pytest_twisted.async_yield_fixture
async def sinks(tmp_path: Path, database: PostgreSQL, broker: Tansu) -> AsyncIterator[Sinks]:
    """Run the others."""
    paths = [tmp_path / name for name in ("influx", "victoria", "prometheus")]
    for path in paths:
        path.mkdir()
    influx = InfluxDb(paths[0])
    victoria = VictoriaMetrics(paths[1], keeps_all=True)
    prometheus = Prometheus(paths[2], None, RECEIVER, NATIVE)
    slow = Proxy(reactor, influx.port, Toxic.LATENCY, 10**9)
    await influx.ready()
    await victoria.reached("vector(1)", 1)
    await prometheus.reached("vector(1)", 1)
    yield Sinks(influx, slow, victoria, prometheus, database, broker, tmp_path / "results.jsonl")
    await slow.close()
    for server in (influx, victoria, prometheus):
        await server.stop()


async def test_o1_six_sinks(idle_agent: Agent, numbered: Notes, sinks: Sinks) -> None:
    """Each sink has each result of out.log; an outage and a slow sink delay no other one."""
    agent = idle_agent
    agent.options["--collector"] = "none"
    agent.more = sinks.options
    await agent.start()
    binary = await agent.upload(numbered.script(count=-1, rate=LINES_PER_SECOND))
    await agent.complete(await agent.queue("warm", binary, duration=5))
    before = agent.resident_bytes

    sinks.database.kill()
    down_since = reactor.seconds()  # type: ignore[attr-defined]
    job_id = await agent.queue("shop", binary, duration=20)
    growth = 0
    while (job := await agent.job(job_id))["state"] not in OVER:
        growth = max(growth, agent.resident_bytes - before)
        await task.deferLater(reactor, 0.2)
    # Those that are healthy have all at once, while one is down and one is slow.
    ended = reactor.seconds()  # type: ignore[attr-defined]
    job = await agent.complete(job_id, *HEALTHY)
    late = reactor.seconds() - ended  # type: ignore[attr-defined]
    assert job["outputs"]["postgresql"]["pending"] == job["results"]["valid"]
    assert growth <= MAX_GROWTH_BYTES

    killed = await agent.queue("killed", binary, duration=600)
    while (await agent.job(killed))["results"]["valid"] < 3 * LINES_PER_SECOND:
        await task.deferLater(reactor, 0.05)
    await agent.kill()
    await agent.start()
    # The second kill comes while it delivers what the first one has left.
    await agent.kill()
    await agent.start()
    left = OUTAGE_SECONDS - (reactor.seconds() - down_since)  # type: ignore[attr-defined]
    await task.deferLater(reactor, max(0.0, left))
    sinks.database.start()
    for one in (job_id, killed):
        job = await agent.complete(one)
        await compare(agent, job, sinks)
    print(
        f"O1: {job['results']['valid']} results of the killed job and those of another in six"
        f" sinks, each complete; O2: {late:.1f} s after the end the four healthy sinks had all,"
        f" memory grew by {growth / 2**20:.1f} MiB"
    )


async def compare(agent: Agent, job: dict[str, Any], sinks: Sinks) -> None:
    """Compare each sink with the log of a job."""
    log = agent.run_log(job["id"], job["name"]).read_bytes()
    lines = [line for line in select(log + b"\n" * (not log.endswith(b"\n"))) if line]
    ids = [json.loads(line)["sequenceID"] for line in lines]
    assert len(ids) == job["results"]["valid"] > LINES_PER_SECOND
    assert {one["delivered"] for one in job["outputs"].values()} == {len(ids)}, job

    rows = sinks.database.query(
        "SELECT ordinal, sequence_id FROM golo_results WHERE job = %s ORDER BY ordinal", job["id"]
    )
    assert rows == [*enumerate(ids)], "PostgreSQL"

    objects = [json.loads(line) for line in sinks.file.read_text().splitlines()]
    own = [one for one in objects if one["job"] == job["id"]]
    assert [one["ordinal"] for one in own] == list(range(len(ids))), "jsonl"
    assert [one["result"]["sequenceID"] for one in own] == ids, "jsonl"

    messages = [one for one in sinks.broker.read() if one.key == job["id"].encode()]
    values = {one.ordinal: json.loads(one.value)["result"]["sequenceID"] for one in messages}
    assert [values[ordinal] for ordinal in range(len(values))] == ids, "Kafka"

    query = f"SELECT sequence_id FROM golo_results WHERE job = '{job['id']}'"
    points = [row["sequence_id"] for row in await sinks.influx.query(query)]
    assert sorted(points) == sorted(ids), "InfluxDB: no point has replaced another"

    for server in (sinks.prometheus, sinks.victoria):
        found = await server.value(f'max_over_time(golo_results_total{{job_id="{job["id"]}"}}[1h])')
        assert found == len(ids), server
