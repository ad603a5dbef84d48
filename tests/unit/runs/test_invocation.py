"""The arguments and variables of a load test."""

from __future__ import annotations

from typing import Any

import pytest
from unit.runs.one_run import NOW

from goloagent.core.job_spec import JobSpec
from goloagent.jobs.job import Job
from goloagent.runs.invocation import invocation


def of(members: dict[str, Any], users: int = 7, seconds: int = 60) -> dict[str, str]:
    """Return the agent's variables for a job."""
    job = Job("job-1", JobSpec("shop", users, seconds, "b", members), NOW)
    return dict(invocation(job).variables)


def test_a_job_alone() -> None:
    """It is agent 0 of 1, in a run of its own."""
    assert of({}) == {
        "GOLO_JOB_NAME": "shop",
        "GOLO_RUN_ID": "job-1",
        "GOLO_AGENT_INDEX": "0",
        "GOLO_AGENT_COUNT": "1",
        "GOLO_USERS": "7",
        "GOLO_DURATION": "60",
    }


def test_the_trace_context_of_the_request() -> None:
    """A load test continues the trace; a damaged record has none."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert of({"traceparent": trace})["TRACEPARENT"] == trace
    assert "TRACEPARENT" not in of({"traceparent": 5})


@pytest.mark.parametrize(("index", "users"), [(0, "3"), (1, "2"), (2, "2")])
def test_a_job_of_a_fleet(index: int, users: str) -> None:
    """The users are this agent's share."""
    variables = of({"share": {"index": index, "of": 3}, "run": {"id": "r"}})
    assert variables["GOLO_RUN_ID"] == "r"
    assert (variables["GOLO_AGENT_INDEX"], variables["GOLO_AGENT_COUNT"]) == (str(index), "3")
    assert variables["GOLO_USERS"] == users


@pytest.mark.parametrize(
    ("members", "seconds", "shown"),
    [({"duration": "1500ms"}, 2, "1.5"), ({}, 604_800, "604800"), ({}, 0, "0")],
)
def test_the_duration_is_in_seconds(members: dict[str, Any], seconds: int, shown: str) -> None:
    """It has a fraction only if the request had one."""
    assert of(members, seconds=seconds)["GOLO_DURATION"] == shown


@pytest.mark.parametrize(
    ("drive", "has_rpc"), [("netrpc", True), ("jsonrpc", True), ("self", False)]
)
def test_what_was_requested(drive: str, has_rpc: bool) -> None:
    """Arguments and variables are passed on; only a driven program gets an address."""
    members = {"args": ["-c"], "env": {"TOKEN": "s3cret"}, "drive": drive}
    found = invocation(Job("job-1", JobSpec("shop", 1, 1, "b", members), NOW))
    assert (found.args, found.given, found.has_rpc) == (("-c",), {"TOKEN": "s3cret"}, has_rpc)
    assert "s3cret" not in repr(found)
