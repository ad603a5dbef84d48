"""The adapters of other load generators: their own totals are those of golo."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from peers.agent import Agent
from peers.collector import Collector
from peers.golo import left_over, start_golo
from peers.programs import CHECKOUT
from peers.target import Target
from twisted.internet import reactor
from twisted.web.server import Request

from goloagent.client.exit_codes import ExitCode
from goloagent.report import codec

ADAPTERS = Path(__file__).parents[2] / "examples" / "adapters"
DOCS = Path(__file__).parents[2] / "docs" / "adapters.md"
VECTORS = Path(__file__).parents[1] / "vectors"
PYTHON = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
# A user with requests of two names, of which some fail by their status or their content.
LOCUSTFILE = """
from locust import HttpUser, task

class Customer(HttpUser):
    @task
    def buy(self):
        self.client.get("/cart")
        self.client.get("/failing?item=1", name="a failing page")
        with self.client.get("/wrong", catch_response=True) as response:
            response.failure("no such cart")
        print("bought")
"""


class FailingTarget(Target):
    """A target that responds 500 to /failing."""

    def render_GET(self, request: Request) -> bytes | int:
        body = super().render_GET(request)
        if request.path == b"/failing":
            request.setResponseCode(500)
        return body


@pytest_twisted.async_yield_fixture
async def failing_target() -> AsyncIterator[FailingTarget]:
    """Run a target, some of whose responses are failures."""
    target = FailingTarget(reactor)
    target.delay_seconds = 0.005
    target.open()
    yield target
    await target.close()


async def run(
    agent: Agent,
    adapter: str,
    *arguments: str,
    tools: Path | None = None,
    env: dict[str, str] | None = None,
    **members: Any,
) -> dict[str, Any]:
    """Run a job with an adapter, and return it when its results are delivered.

    Args:
        tools: a directory of programs.
    """
    job_id = await agent.queue(
        adapter,
        ADAPTERS / f"{adapter}.py",
        drive="self",
        args=arguments,
        env={
            "PATH": f"{tools}:{PYTHON}" if tools else PYTHON,
            "PYTHONPATH": str(CHECKOUT),
            "PYTHONDONTWRITEBYTECODE": "1",
            **(env or {}),
        },
        **members,
    )
    return await agent.settled(job_id)


async def stats_of(agent: Agent, job: dict[str, Any]) -> dict[str, Any]:
    """Return the statistics of a job."""
    response = await agent.request("GET", f"/jobs/{job['id']}/stats")
    stats: dict[str, Any] = response.json
    assert stats["results"] == job["results"]["delivered"], job
    return stats


@pytest.mark.skipif(shutil.which("hey") is None, reason="hey is not installed")
@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        (["-n", "300"], 60),  # exits by itself
        pytest.param(["-z", "60s"], 2, marks=pytest.mark.full),  # is ended before its own time
        ([], 2),  # by GOLO_DURATION
    ],
)
async def test_hey(
    agent: Agent,
    collector: Collector,
    failing_target: FailingTarget,
    arguments: list[str],
    seconds: int,
) -> None:
    """Each response is a result with its status, and hey's summary is in err.log."""
    url = f"{failing_target.url}failing"
    job = await run(agent, "hey_run", *arguments, url, duration=seconds, users=7)
    summary = agent.run_log(job["id"], "hey_run", "err.log").read_text()
    assert job["state"] == "finished", (job, summary)
    assert job["results"]["invalid"] == 0
    stats = await stats_of(agent, job)
    match = re.search(r"\[500\]\t(\d+) responses", summary)
    assert match is not None, summary
    print(f"hey: {match[1]}, golo: {stats['results']}, served: {failing_target.served}")
    assert int(match[1]) == stats["results"] == stats["errors"] == failing_target.served
    if arguments == ["-n", "300"]:
        assert stats["results"] == 294  # as many for each of 7 workers
    rows = collector.results("hey_run")
    assert len(rows) == stats["results"] >= 7
    assert {(row["method"], row["url"], row["status"]) for row in rows} == {("GET", url, 500)}
    assert all(row["duration"] >= 5_000_000 for row in rows)
    times = [row["timestamp"] for row in rows]
    assert job["started_at"] < min(times) <= max(times) < job["ended_at"]


@pytest.mark.skipif(shutil.which("hey") is None, reason="hey is not installed")
async def test_failures_of_hey(agent: Agent, collector: Collector) -> None:
    """A failed request is a result without a status, with hey's error."""
    job = await run(agent, "hey_run", "-n", "20", "http://127.0.0.1:1/", duration=60, users=5)
    summary = agent.run_log(job["id"], "hey_run", "err.log").read_text()
    assert re.search(r"\[20\]\tGet .*connection refused", summary)
    stats = await stats_of(agent, job)
    assert stats["results"] == stats["errors"] == 20
    [error] = {row["error"] for row in collector.results("hey_run")}
    assert error.endswith("connect: connection refused")


@pytest.mark.skipif(shutil.which("hey") is None, reason="hey is not installed")
async def test_a_run_of_golo(failing_target: FailingTarget, tmp_path: Path) -> None:
    """By the job file of docs/adapters.md: statistics, thresholds and reports."""
    url = f"{failing_target.url}failing"
    [text] = re.findall(
        r'\n((?:    .*\n)*    program = "hey_run.py"\n(?:    .*\n)*)', DOCS.read_text()
    )
    job = re.sub("^    ", "", text, flags=re.M).replace("https://staging.example/", url)
    job += '[thresholds]\nerrors = ["rate<1%"]\nresults = ["count>9"]\n'
    (tmp_path / "job.toml").write_text(job)
    shutil.copy(ADAPTERS / "hey_run.py", tmp_path)
    options = ["--duration", "3", "--json", "a.json", "--junit", "a.xml", "--html", "a.html"]
    golo = start_golo(reactor, tmp_path, "run", "job.toml", *options, environ={"PATH": PYTHON})
    assert await golo.exit_code() == ExitCode.THRESHOLD, golo.out + golo.err
    report = codec.decode((tmp_path / "a.json").read_bytes())
    results = report.results
    assert results.valid == results.errors == failing_target.served > 9
    checks = {check.metric: check.passed for check in report.verdict.checks}
    assert checks == {"errors": False, "results": True}
    assert codec.decode((tmp_path / "a.html").read_bytes()).run == report.run
    assert (tmp_path / "a.xml").read_text().count("<testcase ") > 2
    assert left_over(tmp_path) == []


@pytest.mark.skipif(importlib.util.find_spec("locust") is None, reason="Locust is not installed")
@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        # Exits by itself.
        pytest.param(["-t", "2s", "-u", "3", "-r", "3"], 60, marks=pytest.mark.full),
        ([], 4),  # is ended by the agent
    ],
)
async def test_locust(
    agent: Agent,
    collector: Collector,
    failing_target: FailingTarget,
    tmp_path: Path,
    arguments: list[str],
    seconds: int,
) -> None:
    """Each request is a result, a failure of its content too; Locust's totals are in err.log."""
    (tmp_path / "locustfile.py").write_text(LOCUSTFILE)
    locustfile = await agent.upload(tmp_path / "locustfile.py", kind="file")
    job = await run(
        agent,
        "locust_run",
        *("-f", "locustfile.py", "--host", failing_target.url.rstrip("/"), *arguments),
        duration=seconds,
        users=5,
        files=[{"name": "locustfile.py", "binary": locustfile}],
    )
    summary = agent.run_log(job["id"], "locust_run", "err.log").read_text()
    assert (job["state"], job["exit"]) == ("finished", {"code": 0}), (job, summary)
    assert job["results"]["invalid"] == 0
    assert "bought" in summary  # users' own output does not stand between results
    stats = await stats_of(agent, job)
    totals = re.findall(r"Aggregated +(\d+) +(\d+)\(", summary)[-1]
    print(f"Locust: {totals}, golo: {stats['results']} {stats['errors']}")
    assert [int(total) for total in totals] == [stats["results"], stats["errors"]]
    assert stats["errors"] > 3
    rows = collector.results("locust_run")
    url = failing_target.url.rstrip("/")
    assert {(row["url"], row["status"], row["error"]) for row in rows} == {
        (f"{url}/cart", 200, None),
        (
            "a failing page",
            500,
            "HTTPError: 500 Server Error: Internal Server Error for url: a failing page",
        ),
        (f"{url}/wrong", 200, "CatchResponseError: no such cart"),
    }
    # Requests in flight at the end are ended by Locust, which does not count them.
    assert 0 <= failing_target.served - stats["results"] <= 5
    assert all(row["size"] > 0 for row in rows)


@pytest.mark.skipif(importlib.util.find_spec("locust") is None, reason="Locust is not installed")
async def test_an_exception_of_a_locust_user(agent: Agent, tmp_path: Path) -> None:
    """It fails the job, because Locust has no request for it."""
    (tmp_path / "locustfile.py").write_text(LOCUSTFILE.replace('self.client.get("/cart")', "1 / 0"))
    locustfile = await agent.upload(tmp_path / "locustfile.py", kind="file")
    job = await run(
        agent,
        "locust_run",
        *("-f", "locustfile.py", "--host", "http://127.0.0.1:1", "-t", "1s"),
        duration=60,
        users=1,
        files=[{"name": "locustfile.py", "binary": locustfile}],
    )
    assert (job["state"], job["reason"], job["exit"]) == ("failed", "exited", {"code": 1})


@pytest.mark.skipif(shutil.which("vegeta") is None, reason="vegeta is not installed")
@pytest.mark.parametrize("arguments", [["-rate=50", "-duration=1s"], ["-duration=60s"], []])
async def test_vegeta(
    agent: Agent, collector: Collector, failing_target: FailingTarget, arguments: list[str]
) -> None:
    """Each hit is a result; vegeta's report is in err.log, also if the job's time is over first."""
    url = f"{failing_target.url}failing"
    job = await run(agent, "vegeta_run", *arguments, duration=3, users=4, env={"TARGET": url})
    summary = agent.run_log(job["id"], "vegeta_run", "err.log").read_text()
    assert (job["state"], job["exit"]) == ("finished", {"code": 0}), (job, summary)
    stats = await stats_of(agent, job)
    match = re.search(r"Status Codes .* 500:(\d+) ", summary)
    assert match is not None, summary
    print(f"vegeta: {match[1]}, golo: {stats['results']}, served: {failing_target.served}")
    assert int(match[1]) == stats["results"] == stats["errors"]
    # Hits in flight at the end are ended by some versions of vegeta, which do not count them.
    assert 0 <= failing_target.served - stats["results"] <= 4
    if "-rate=50" in arguments:
        assert stats["results"] == 50
    rows = collector.results("vegeta_run")
    assert {(row["method"], row["url"], row["size"]) for row in rows} == {("GET", url, 20)}


async def test_k6(agent: Agent, collector: Collector, tmp_path: Path) -> None:
    """The lines of a program in place of k6, in k6's documented format, are a run.

    It prints them when it gets SIGTERM, as k6 prints its last ones.
    """
    k6 = tmp_path / "k6"
    k6.write_text(
        f"""#!/bin/sh
[ "$*" = "run --quiet --out json=- --config k6-defaults.json script.js" ] || exit 2
trap "cat '{VECTORS}/k6.ndjson'; exit 0" TERM
while true; do sleep 0.01; done
"""
    )
    k6.chmod(0o755)
    job = await run(agent, "k6_run", "script.js", tools=tmp_path, duration=1, users=4)
    summary = agent.run_log(job["id"], "k6_run", "err.log").read_text()
    assert (job["state"], job["exit"]) == ("finished", {"code": 0}), (job, summary)
    stats = await stats_of(agent, job)
    match = re.search(r"http_req_failed.* (\d) out of (\d)", summary)
    assert match is not None, summary
    assert [int(match[2]), int(match[1])] == [stats["results"], stats["errors"]]
    rows = collector.results("k6_run")
    assert [row["status"] for row in rows] == [200, 404, 0]


async def test_an_earlier_run_of_k6(agent: Agent, collector: Collector) -> None:
    """Its JSON output becomes a run, with the times of its requests."""
    output = await agent.upload(VECTORS / "k6.ndjson", kind="file")
    files = [{"name": "results.json", "binary": output}]
    job = await run(agent, "k6_run", "results.json", duration=60, files=files)
    assert (job["state"], job["results"]["delivered"]) == ("finished", 3)
    assert {row["timestamp"][:10] for row in collector.results("k6_run")} == {"2026-11-28"}


@pytest.mark.parametrize("name", ["hey", "vegeta", "k6"])
async def test_a_generator_that_is_missing(agent: Agent, name: str, tmp_path: Path) -> None:
    """The job fails, and err.log says what to install."""
    (tmp_path / "python3").symlink_to(sys.executable)
    job = await run(agent, f"{name}_run", duration=60, env={"PATH": str(tmp_path)})
    assert (job["state"], job["reason"], job["exit"]) == ("failed", "exited", {"code": 1})
    sentence = f"{name} is not on the PATH of this agent: install it there\n"
    assert agent.run_log(job["id"], f"{name}_run", "err.log").read_text() == sentence
