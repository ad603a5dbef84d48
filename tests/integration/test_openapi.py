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

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from peers.agent import TOKEN, Agent
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
# No schema can say which jobs and binaries there are.
[[operations]]
include-path = ["/binaries", "/jobs", "/queue"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, "5xx"]
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
