"""Every panel's query, in a real database, returns the numbers of real runs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import attrs
import pytest_twisted
from peers.agent import Agent
from peers.grafana import Dashboard, InfluxQL, PromQL, Source
from peers.influxdb import InfluxDb
from peers.panel_checks import INFLUXDB, PROMETHEUS, RATE, USERS, VICTORIA_METRICS, Check, Run
from peers.programs import Builder
from peers.prometheus import NATIVE, RECEIVER, Prometheus, VictoriaMetrics
from twisted.internet import reactor, task

SECONDS = 4


class Server(Protocol):
    """A database."""

    async def stop(self) -> None:
        """End it."""


async def loaded(agent: Agent, program: str, **load: Any) -> Run:
    """Run a load test to its end, and until every output has all results."""
    job = await agent.settled(await agent.queue("shop", program, **load))
    while any(one["pending"] for one in job["outputs"].values()):
        await task.deferLater(reactor, 0.1)
        job = await agent.job(job["id"])
    stats, timeline = [
        (await agent.request("GET", f"/jobs/{job['id']}/{what}")).json
        for what in ("stats", "timeline")
    ]
    assert timeline["complete"], timeline
    lines = agent.run_log(job["id"], "shop").read_text().splitlines()
    durations = [json.loads(line)["duration"] / 1e9 for line in lines if line.startswith("{")]
    start = datetime.fromisoformat(timeline["start"].replace("Z", "+00:00")).timestamp()
    return Run(job, stats, timeline["windows"], start, sorted(durations))


async def runs(agent: Agent, go_loadtest: Builder) -> list[Run]:
    """Run a load test in the closed model, and in the open model with dropped calls."""
    program = await agent.upload(go_loadtest("shop"))
    closed = await loaded(agent, program, duration=SECONDS, users=USERS)
    constant = {"start": RATE, "stages": [{"rate": RATE, "duration": SECONDS}]}
    opened = await loaded(agent, program, load={**constant, "max_in_flight": 2})
    assert opened.job["calls"]["dropped"] > 0
    return [attrs.evolve(closed, at_rest=closed.span.end < opened.start), opened]


async def check_panels(
    name: str, source: Source, found: Sequence[Run], checks: Mapping[str, Check]
) -> None:
    """Check that each panel has values of each run, and each query of one run at least."""
    dashboard = Dashboard(name)
    assert {key for _, key, _ in dashboard.targets()} == checks.keys()
    seen = set()
    for run in found:
        wanted = {"name": run.job["name"], "run": run.job["id"]}
        chosen = await dashboard.choose(source, run.span, wanted)
        shown = await dashboard.run(source, run.span, chosen)
        for panel in dashboard.panels:
            keys = [f"{panel['title']} {target['refId']}" for target in panel["targets"]]
            assert any(shown[key] for key in keys), f"{panel['title']} shows nothing"
        for key, check in checks.items():
            try:
                check(shown[key], run)
            except (AssertionError, ValueError, LookupError) as error:
                raise AssertionError(f"{key}: {error}: {shown[key]}") from error
        seen |= {key for key, series in shown.items() if series}
    # A row of a heat map may have no results, as its check finds.
    rows = {key for key in checks if key.startswith("Durations of results")}
    assert checks.keys() - seen <= rows


async def eventually(check: Callable[[], Awaitable[None]], seconds: float = 60) -> None:
    """Return once the check passes: samples are scraped, and outputs send the last windows."""
    end = reactor.seconds() + seconds
    while True:
        try:
            return await check()
        except AssertionError:
            if reactor.seconds() > end:
                raise
        await task.deferLater(reactor, 0.5)


@pytest_twisted.async_yield_fixture
async def stopped_after() -> AsyncIterator[Callable[[Server], Server]]:
    """Stop servers after the test."""
    servers: list[Server] = []

    def add(server: Server) -> Server:
        servers.append(server)
        return server

    yield add
    for server in servers:
        await server.stop()


async def test_prometheus(
    idle_agent: Agent, go_loadtest: Builder, tmp_path: Path, stopped_after: Callable[..., Any]
) -> None:
    """All panels of native histograms, and of what is scraped."""
    directory = tmp_path / "prometheus"
    directory.mkdir()
    server = stopped_after(Prometheus(directory, idle_agent.port, RECEIVER, NATIVE))
    await server.reached("vector(1)", 1)
    idle_agent.more = ("--output", f"metrics=prometheus+{server.url}")
    await idle_agent.start()
    found = await runs(idle_agent, go_loadtest)
    source = PromQL(server.url)
    await eventually(lambda: check_panels("golo-prometheus", source, found, PROMETHEUS))


async def test_victoria_metrics(
    idle_agent: Agent, go_loadtest: Builder, tmp_path: Path, stopped_after: Callable[..., Any]
) -> None:
    """All panels of classic histograms."""
    directory = tmp_path / "victoria"
    directory.mkdir()
    server = stopped_after(VictoriaMetrics(directory, idle_agent.port))
    await server.reached("vector(1)", 1)
    idle_agent.more = ("--output", f"metrics=prometheus+{server.url}?histograms=classic")
    await idle_agent.start()
    found = await runs(idle_agent, go_loadtest)
    source = PromQL(server.url)
    await eventually(lambda: check_panels("golo-prometheus", source, found, VICTORIA_METRICS))


async def test_influxdb(
    idle_agent: Agent, go_loadtest: Builder, tmp_path: Path, stopped_after: Callable[..., Any]
) -> None:
    """All panels of results and of seconds."""
    directory = tmp_path / "influxdb"
    directory.mkdir()
    server = stopped_after(InfluxDb(directory))
    await server.ready()
    url = f"influx+{server.url}?database={server.database}"
    idle_agent.more = ("--output", f"influx={url}", "--output", f"seconds={url}&unit=second")
    await idle_agent.start()
    found = await runs(idle_agent, go_loadtest)
    source = InfluxQL(server.url, server.database)
    await eventually(lambda: check_panels("golo-influxdb", source, found, INFLUXDB))
