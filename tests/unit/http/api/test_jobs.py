"""The endpoints of jobs."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.http import golo_cli
from unit.http.in_memory import NOW, Agent, Response

from goloagent.core.job_members import FEATURES
from goloagent.core.job_spec import JobSpec
from goloagent.host.readiness import Health
from goloagent.http.api.queue import MAX_FILES_BYTES
from goloagent.http.api.resources import job_resource
from goloagent.jobs.database import Binary
from goloagent.jobs.job import Checkpoint, Job, LineCounts, State
from goloagent.outputs.status import JobDelivery
from goloagent.runs import outcome


def ask(agent: Agent, start: str) -> Response:
    """Send a request without a body to localhost."""
    return agent.request(f"{start} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


def add(agent: Agent, count: int, name: str = "shop", **more: Any) -> list[Job]:
    """Add jobs to the store, the oldest first."""
    jobs = [
        Job(f"{name}-{n}", JobSpec(name, 1, 1, "b"), NOW + timedelta(seconds=n), **more)
        for n in range(count)
    ]
    for job in jobs:
        agent.store.add(job)
    return jobs


def listed(response: Response) -> list[str]:
    """Return the ids in a page."""
    assert response.status == 200, response
    return [job["id"] for job in json.loads(response.body)["jobs"]]


def test_the_newest_job_is_first(agent: Agent) -> None:
    """Without parameters the newest jobs are listed, in their present state."""
    jobs = add(agent, 3)
    jobs[1].state = State.RUNNING
    response = ask(agent, "GET /jobs")
    assert listed(response) == ["shop-2", "shop-1", "shop-0"]
    body = json.loads(response.body)
    assert body["next"] is None
    assert body["jobs"][1]["state"] == "running"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 12), name=st.sampled_from([None, "shop", "till"]))
def test_pages_contain_every_job_once(agent: Agent, limit: int, name: str | None) -> None:
    """The pages at `next` contain all jobs, with any filter."""
    if agent.store.get("shop-0") is None:
        add(agent, 6)
        add(agent, 5, "till")
    suffix = f"&name={name}" if name else ""
    whole = listed(ask(agent, f"GET /jobs?limit=100{suffix}"))
    assert len(whole) == {None: 11, "shop": 6, "till": 5}[name]
    seen, path = [], f"/jobs?limit={limit}{suffix}"
    while path:
        response = ask(agent, f"GET {path}")
        seen.extend(listed(response))
        path = json.loads(response.body)["next"]
    assert seen == whole


def test_filter_by_state(agent: Agent) -> None:
    """Jobs that are only in the database are included."""
    add(agent, 2)
    for job in add(agent, 2, "old", state=State.FINISHED, ended_at=NOW):
        agent.store.save(job)
    assert listed(ask(agent, "GET /jobs?state=finished")) == ["old-1", "old-0"]
    assert listed(ask(agent, "GET /jobs?state=queued&name=shop")) == ["shop-1", "shop-0"]
    assert listed(ask(agent, "GET /jobs?state=failed")) == []


def test_pages_by_number(agent: Agent) -> None:
    """`offset` skips jobs, `total` counts all that match, `name_prefix` matches the start."""
    add(agent, 5)
    for job in add(agent, 4, "shop-half", state=State.FINISHED, ended_at=NOW):
        agent.store.save(job)
    add(agent, 2, "Shop")

    def page(query: str) -> tuple[list[str], int]:
        response = ask(agent, f"GET /jobs?{query}")
        return listed(response), json.loads(response.body)["total"]

    whole = listed(ask(agent, "GET /jobs"))
    assert page("limit=3&offset=4") == (whole[4:7], 11)
    assert page("limit=3&offset=11") == ([], 11)
    ids, total = page("name_prefix=shop-h&limit=2&offset=1")
    assert (ids, total) == (["shop-half-2", "shop-half-1"], 4)
    assert page("name_prefix=shop&limit=100")[1] == 9
    assert page("name_prefix=shop&state=queued")[1] == 5
    assert page("name=shop")[1] == 5
    assert page("name_prefix=%25") == ([], 0)
    following = json.loads(ask(agent, "GET /jobs?limit=3&offset=4").body)["next"]
    assert listed(ask(agent, f"GET {following}")) == whole[7:10]


@pytest.mark.parametrize(
    "query",
    [
        "offset=-1",
        "state=odd",
        "state=null",
        "limit=0",
        "limit=1001",
        "limit=x",
        "before=nobody",
        "page=2",
        "limit=1&limit=2",
    ],
)
def test_an_invalid_parameter_is_named(agent: Agent, query: str) -> None:
    """A parameter that is unknown, repeated or out of its bounds is 400."""
    response = ask(agent, f"GET /jobs?{query}")
    assert response.status == 400
    assert query.partition("=")[0] in response.body.decode()


def test_the_status_of_a_cancel(agent: Agent) -> None:
    """It is 200 if the job is over, 202 while it stops, 404 for an unknown job."""
    waiting, running, over = add(agent, 3)

    def cancel(job: Job) -> bool:
        job.state = State.STOPPING if job is running else State.CANCELLED
        job.cause = outcome.CANCELLED
        return True

    agent.cancelled = cancel
    running.state = State.RUNNING
    over.state = State.FINISHED
    responses = [ask(agent, f"DELETE /jobs/{job.id}") for job in (waiting, running, over)]
    assert [response.status for response in responses] == [200, 202, 200]
    shown = [json.loads(response.body) for response in responses]
    assert [job["state"] for job in shown] == ["cancelled", "stopping", "finished"]
    assert [job["reason"] for job in shown] == ["cancelled", "cancelled", None]
    assert ask(agent, "DELETE /jobs/nobody").status == 404


def test_a_cancel_that_is_not_saved(agent: Agent) -> None:
    """The job is cancelled, and the response is 202 because that is not durable."""
    (waiting,) = add(agent, 1)

    def cancel(job: Job) -> bool:
        job.state, job.cause = State.CANCELLED, outcome.CANCELLED
        return False

    agent.cancelled = cancel
    response = ask(agent, f"DELETE /jobs/{waiting.id}")
    assert (response.status, json.loads(response.body)["state"]) == (202, "cancelled")


@pytest.mark.parametrize(
    ("status", "answered"),
    [
        ("disk-full", 507),
        ("no-inodes", 507),
        ("read-only", 503),
        ("disk-error", 503),
        ("slow-disk", 503),
        ("rpc-port-busy", 201),
        ("no-tasks", 201),
        ("no-descriptors", 201),
        ("launcher-failed", 201),
    ],
)
def test_queueing_on_an_unhealthy_host(agent: Agent, status: str, answered: int) -> None:
    """A job is refused only if the disk cannot store it."""
    binary = json.loads(agent.request(golo_cli.upload(b"#!/bin/sh\n")).body)["binary"]
    agent.health = lambda: Health(status, "A fault of /secret.")
    body = json.dumps({"binary": binary})
    head = f"POST /queue HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    response = agent.request((head + body).encode())
    assert response.status == answered
    assert answered == 201 or b"disk" in response.body
    assert (b"/secret" in response.body) is False, "it may name a path"


def queue(agent: Agent, requires: str, more: str = "", **members: object) -> Response:
    """Queue a job of a new binary with a header ``Golo-Requires``, and more headers."""
    binary = json.loads(agent.request(golo_cli.upload(b"#!/bin/sh\n")).body)["binary"]
    body = json.dumps({"binary": binary, **members})
    head = f"POST /queue HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    head += f"Golo-Requires: {requires}\r\n{more}\r\n"
    return agent.request(f"{head}{body}".encode("latin-1"))


@pytest.mark.parametrize(
    ("requires", "lacking"),
    [
        ("", None),
        (", load ,,THRESHOLDS", None),
        (", ".join(sorted(FEATURES)), None),
        ("load, lease, hold, lease", '"hold", "lease"'),
        ("\xe9\x01", '"\\udce9\\u0001"'),
    ],
)
def test_a_client_requires_features(agent: Agent, requires: str, lacking: str | None) -> None:
    """The agent refuses the job if it lacks one, with its name, before anything else."""
    response = queue(agent, requires)
    assert response.status == (201 if lacking is None else 422)
    if lacking is not None:
        assert f"this agent has no {lacking}: " in response.body.decode()


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ([TRACE], TRACE),
        ([], None),
        (["garbage"], None),
        ([TRACE.upper()], None),
        ([TRACE, TRACE], None),
        (["\xff\xfe"], None),
    ],
)
def test_a_trace_context_is_kept(agent: Agent, headers: list[str], kept: str | None) -> None:
    """It is shown with the job; an invalid one is ignored, as its standard says."""
    response = queue(agent, "", "".join(f"traceparent: {value}\r\n" for value in headers))
    assert response.status == 201
    job = agent.store.get(json.loads(response.body)["id"])
    assert job is not None
    assert job_resource(job, JobDelivery()).traceparent == kept


def test_a_job_chooses_its_outputs(agent: Agent) -> None:
    """An unknown one is refused with those that there are."""
    assert queue(agent, "outputs", outputs=["influx"]).status == 201
    response = queue(agent, "", outputs=["influx", "prom\n"])
    sentence = b'outputs: this agent has no output "prom\\n"; it has collector, influx\n'
    assert (response.status, response.body) == (400, sentence)


@pytest.mark.parametrize(
    ("binary", "shown"), [("gone", '"gone"'), ("x\n" * 100, '"' + "x\\n" * 40 + '"')]
)
def test_a_file_needs_its_binary(agent: Agent, binary: str, shown: str) -> None:
    """A job that could not start is not queued."""
    response = queue(agent, "", files=[{"name": "users.csv", "binary": binary}])
    sentence = f"files: there is no binary {shown} for users.csv: upload it first\n"
    assert (response.status, response.body.decode()) == (400, sentence)


def test_files_are_bounded(agent: Agent) -> None:
    """All of a job together, because each is copied for it."""
    for number, size in enumerate((MAX_FILES_BYTES, 1)):
        agent.store.add_binary(Binary(f"f{number}", "0" * 64, size, NOW))
    files = [{"name": f"f{number}", "binary": f"f{number}"} for number in range(2)]
    assert queue(agent, "", files=files[:1]).status == 201
    response = queue(agent, "", files=files)
    assert (response.status, response.body) == (
        400,
        b"files have 1073741825 bytes: at most 1073741824 bytes are allowed\n",
    )


def test_the_values_of_variables_are_in_no_response(agent: Agent) -> None:
    """The job has their names, and unknown members are named."""
    response = queue(agent, "", env={"TOKEN": "s3cret"}, arg=["a"], priority=5)
    answer = json.loads(response.body)
    assert (response.status, answer["ignored"]) == (201, ["arg", "priority"])
    shown = ask(agent, f"GET /jobs/{answer['id']}")
    assert json.loads(shown.body)["env"] == ["TOKEN"]
    listed_jobs = ask(agent, "GET /jobs")
    assert b"s3cret" not in response.body + shown.body + listed_jobs.body


# Giving up results.


def pending(agent: Agent, state: State = State.FINISHED) -> Job:
    """Return a job with 7 pending results."""
    [job] = add(
        agent,
        1,
        state=state,
        ended_at=NOW,
        lines=LineCounts(read=12, invalid=2),
        checkpoint=Checkpoint(rejected=3),
    )

    def abandon(given: Job, output: str | None) -> int:
        assert given is job
        job.checkpoint.abandoned = count = job.results.pending
        agent.jobs.change(job)
        return count

    agent.abandon = abandon
    return job


def test_abandon_results(agent: Agent) -> None:
    """The response has the counts; the request may be repeated."""
    job = pending(agent)
    for _ in range(2):
        response = ask(agent, "DELETE /jobs/shop-0/results")
        assert response.status == 200
        assert json.loads(response.body) == {
            "read": 12,
            "valid": 10,
            "invalid": 2,
            "delivered": 0,
            "rejected": 3,
            "pending": 0,
            "abandoned": 7,
        }
    assert job.fully_delivered
    assert [run.job_id for run in agent.store.settled_runs()] == []
    kept = agent.store.get("shop-0")
    assert kept is not None
    assert kept.results.abandoned == 7


def test_abandon_the_results_of_one_output(agent: Agent) -> None:
    """The counts are its own; an output that the job does not have is refused with those it has."""
    job = pending(agent)
    job.outputs = {"influx": Checkpoint(delivered=4)}
    abandoned: list[str | None] = []

    def abandon(given: Job, output: str | None) -> int:
        abandoned.append(output)
        job.outputs["influx"].abandoned = 6
        return 6

    agent.abandon = abandon
    response = ask(agent, "DELETE /jobs/shop-0/results?output=influx")
    assert response.status == 200
    found = json.loads(response.body)
    assert (found["delivered"], found["abandoned"], found["pending"]) == (4, 6, 0)
    assert ask(agent, "DELETE /jobs/shop-0/results?output=influx").status == 200
    assert abandoned == ["influx"]
    response = ask(agent, "DELETE /jobs/shop-0/results?output=prom")
    sentence = b'output: the job has no "prom"; it has collector, influx\n'
    assert (response.status, response.body) == (400, sentence)
    assert ask(agent, "DELETE /jobs/shop-0/results?name=influx").status == 400


@pytest.mark.parametrize("state", [State.QUEUED, State.STARTING, State.RUNNING, State.STOPPING])
def test_results_of_a_running_job_cannot_be_abandoned(agent: Agent, state: State) -> None:
    """It must be cancelled first."""
    job = pending(agent, state)
    response = ask(agent, "DELETE /jobs/shop-0/results")
    assert response.status == 409
    assert state.value in response.body.decode()
    assert job.results.pending == 7


def test_abandoning_results_of_an_unknown_job(agent: Agent) -> None:
    """It is 404."""
    assert ask(agent, "DELETE /jobs/nope/results").status == 404


def test_results_cannot_be_abandoned_while_starting(agent: Agent) -> None:
    """The counts may be incomplete until recovery ends."""
    job = pending(agent)
    agent.health = lambda: Health("starting")
    response = ask(agent, "DELETE /jobs/shop-0/results")
    assert (response.status, response.headers["Retry-After"]) == (503, "30")
    assert job.results.pending == 7


def test_abandoning_results_on_a_full_disk(agent: Agent, logged_errors: Any) -> None:
    """It is not 200."""
    pending(agent)

    def abandon(job: Job, output: str | None) -> int:
        raise OSError(28, "No space left on device")

    agent.abandon = abandon
    assert ask(agent, "DELETE /jobs/shop-0/results").status == 507
    assert len(logged_errors.flush()) == 1
