"""The API conforms to its OpenAPI description, tested by schemathesis.

A defect is shown as a request to repeat. GOLO_SOAK=1 runs longer.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from peers.agent import TOKEN, Agent
from peers.programs import ACCEPT, ANSWER_CALLS, Builder
from twisted.internet import defer, reactor
from twisted.internet.utils import getProcessOutputAndValue

OPERATIONS = Path(__file__).parents[2] / "docs/operations.md"
SOAK = bool(os.environ.get("GOLO_SOAK"))
EXAMPLES = 2000 if SOAK else 30
TIMEOUT_SECONDS = 3600 if SOAK else 300
SEED = 4

# Every check is on; each exception has its reason.
SETTINGS = """
request-timeout = 30
max-stream-events = 3

[dictionaries.jobs]
values = {jobs}
[dictionaries.binaries]
values = {binaries}
[parameters]
job_id = {{ dictionary = "jobs", probability = 0.5 }}
before = {{ dictionary = "jobs", probability = 0.5 }}
binary_id = {{ dictionary = "binaries", probability = 0.5 }}

[checks]
enabled = true
# A queue or a disk that is full is no defect.
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 503, 507]

# DELETE of a job cancels it: its record stays.
[[operations]]
include-path-regex = "^/jobs/"
checks.use_after_free.enabled = false
# No schema can say which jobs, binaries and outputs there are, and that only a program must be
# executable.
[[operations]]
include-path = ["/binaries", "/jobs", "/queue", "/upload"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, "5xx"]
[[operations]]
include-path = "/jobs/{{job_id}}/results"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 404, 409, "5xx"]
"""


async def test_the_description_has_the_documented_routes(agent: Agent) -> None:
    """The document is OpenAPI 3.1, and its routes are the rows of docs/operations.md."""
    document = (await agent.request("GET", "/openapi.json")).json
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    rows = re.findall(r"^\| `([A-Z]+) (/\S*)`", OPERATIONS.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    )


def check_schema(document: dict[str, Any], schema: dict[str, Any], value: object) -> None:
    """Check a value by a schema of the description, of which every member is described.

    Raises:
        jsonschema.ValidationError: it does not conform.
    """
    whole = {**schema, "components": document["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


async def test_responses_about_a_job_with_every_member_conform(
    agent: Agent, script: Builder, tmp_path: Path
) -> None:
    """Requests and responses about one job, while it runs and after it, are as described."""
    document = (await agent.request("GET", "/openapi.json")).json
    paths = document["paths"]

    async def check(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        template = re.sub(r"^/jobs/[^/?]+", "/jobs/{job_id}", path).partition("?")[0]
        operation = paths[template][method.lower()]
        more: dict[str, Any] = {}
        if body is not None:
            ((media_type, content),) = operation["requestBody"]["content"].items()
            check_schema(document, content["schema"], body)
            more = {"data": json.dumps(body).encode(), "headers": {"Content-Type": media_type}}
        answer = await agent.request(method, path, **more)
        described = operation["responses"][str(answer.status)]["content"]
        assert answer.status < 300, answer
        assert answer.headers["content-type"] in described, answer
        if answer.headers["content-type"] != "application/json":
            return answer.text
        schema = described["application/json"]["schema"]
        check_schema(document, schema, answer.json)
        name = schema.get("$ref", "").rpartition("/")[2]
        members = document["components"]["schemas"][name]["properties"] if name else answer.json
        assert set(answer.json) <= set(members), (template, set(answer.json) - set(members))
        return answer.json

    (tmp_path / "users.csv").write_text("id\n1\n2\n")
    file = await agent.upload(tmp_path / "users.csv", kind="file")
    binary = await agent.upload(script(ACCEPT + ANSWER_CALLS))
    load = {"start": 20, "arrivals": "poisson", "seed": 7, "max_in_flight": 50, "when_full": "wait"}
    queued = await check(
        "POST",
        "/queue",
        {
            "name": "described",
            "binary": binary,
            "load": {**load, "graceful_stop": "5s", "stages": [{"rate": 20, "duration": "10m"}]},
            "drive": "netrpc",
            "args": ["--cart"],
            "env": {"TARGET": "https://staging"},
            "files": [{"name": "users.csv", "binary": file, "split": "lines", "header": True}],
            "tags": {"release": "1.4.2"},
            "thresholds": {
                "iteration": ["p(95)<1h", {"threshold": "max<2h", "over": "5s", "delay": 1}],
                "errors{url:/cart}": "rate<1%",
            },
            "share": {"index": 0, "of": 2},
            "run": {"id": "0d1f"},
            "outputs": ["collector"],
        },
    )
    assert "ignored" not in queued
    job_id = queued["id"]
    agent.jobs.append(job_id)
    await agent.reached(job_id, "running")
    for change in ({"rate": 40}, {"paused": True}, {"paused": False}, {"duration": "3s"}):
        await check("PATCH", f"/jobs/{job_id}", change)
    routes = (
        "",
        "/stats",
        "/stats?histograms=hdr&rows=1&sort=p95&order=desc",
        "/stats.hgrm",
        "/stats.hgrm?metric=iteration",
        "/timeline?histograms=hdr",
        "/timeline",
        "/timeline.csv",
        "/results.csv",
        "/stats.hlog",
        "/stats.hlog?metric=iteration",
    )
    for route in routes:
        await check("GET", f"/jobs/{job_id}{route}")
    await agent.settled(job_id)
    answers = {route: await check("GET", f"/jobs/{job_id}{route}") for route in routes}
    job = answers[""]
    assert job["verdict"]["checks"], job
    assert answers["/stats?histograms=hdr&rows=1&sort=p95&order=desc"]["calls"]["iteration"][
        "histogram"
    ]
    windows = answers["/timeline"]["windows"]
    assert sum(window["started"] for window in windows) == job["calls"]["started"] > 0
    assert len(answers["/timeline.csv"].splitlines()) == len(windows) + 1
    assert len(answers["/results.csv"].splitlines()) == job["results"]["valid"] + 1
    await check("GET", "/jobs")
    found = await check("GET", "/agent")
    assert (await check("GET", "/clock"))["boot"] == found["boot"]


@pytest.mark.skipif(
    importlib.util.find_spec("schemathesis") is None,
    reason="schemathesis is not installed: its present releases want Python 3.11 or newer",
)
@pytest.mark.full
async def test_the_api_conforms_to_its_description(idle_agent: Agent, tmp_path: Path) -> None:
    """Each request, valid or not, gets a described response that is not a server error."""
    agent = idle_agent
    agent.require_token()
    await agent.start()
    (tmp_path / "ends").write_text("#!/bin/sh\nexit 3\n")
    binary = await agent.upload(tmp_path / "ends")
    jobs = [await agent.queue("fuzzed", binary, duration=1) for _ in range(2)]
    await agent.settled(jobs[0])
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(SETTINGS.format(jobs=json.dumps(jobs), binaries=json.dumps([binary])))
    fuzzing: defer.Deferred[tuple[bytes, bytes, int]] = getProcessOutputAndValue(
        str(Path(sys.executable).parent / "schemathesis"),
        [
            f"--config-file={settings}",
            "run",
            f"http://127.0.0.1:{agent.port}/openapi.json",
            f"--header=Authorization: Bearer {TOKEN}",
            f"--max-examples={EXAMPLES}",
            f"--seed={SEED}",
            "--generation-database=none",
            "--continue-on-failure",
            "--no-color",
        ],
        env={**os.environ, "PYTHONUTF8": "1"},
        path=str(tmp_path),
        reactor=reactor,
    )
    fuzzing.addTimeout(TIMEOUT_SECONDS, reactor)
    out, err, code = await fuzzing
    report = (out + err).decode(errors="replace")
    print(report)
    assert code == 0, report
    assert re.search(r"Tested: [1-9]", report), report
    # The agent logs no error either.
    assert "Traceback" not in agent.log
