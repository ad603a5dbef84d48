"""Jobs over HTTP: listed in pages, and cancelled."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.http import golo_cli
from unit.http.in_memory import NOW, Agent, Response

from goloagent.host.readiness import Health
from goloagent.jobs.job import Checkpoint, Job, LineCounts, State
from goloagent.jobs.spec import JobSpec
from goloagent.runs import outcome


def ask(agent: Agent, start: str) -> Response:
    """Send a request without a body to localhost."""
    return agent.request(f"{start} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


def add(agent: Agent, count: int, name: str = "shop", **more: Any) -> list[Job]:
    """Put jobs into the store, the oldest first."""
    jobs = [
        Job(f"{name}-{n}", JobSpec(name, 1, 1, "b"), NOW + timedelta(seconds=n), **more)
        for n in range(count)
    ]
    for job in jobs:
        agent.store.add(job)
    return jobs


def listed(answer: Response) -> list[str]:
    """Return the ids in a page."""
    assert answer.status == 200, answer
    return [job["id"] for job in json.loads(answer.body)["jobs"]]


def test_the_newest_job_is_first(agent: Agent) -> None:
    """Without parameters the newest jobs are listed, as they stand now."""
    jobs = add(agent, 3)
    jobs[1].state = State.RUNNING
    answer = ask(agent, "GET /jobs")
    assert listed(answer) == ["shop-2", "shop-1", "shop-0"]
    body = json.loads(answer.body)
    assert body["next"] is None
    assert body["jobs"][1]["state"] == "running"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 12), name=st.sampled_from([None, "shop", "till"]))
def test_pages_have_every_job_once(agent: Agent, limit: int, name: str | None) -> None:
    """Following `next` lists what one long page lists, whatever the filter."""
    if agent.store.get("shop-0") is None:
        add(agent, 6)
        add(agent, 5, "till")
    suffix = f"&name={name}" if name else ""
    whole = listed(ask(agent, f"GET /jobs?limit=100{suffix}"))
    assert len(whole) == {None: 11, "shop": 6, "till": 5}[name]
    seen, path = [], f"/jobs?limit={limit}{suffix}"
    while path:
        answer = ask(agent, f"GET {path}")
        seen.extend(listed(answer))
        path = json.loads(answer.body)["next"]
    assert seen == whole


def test_jobs_of_a_state(agent: Agent) -> None:
    """A state filters, also those jobs that have left memory."""
    add(agent, 2)
    for job in add(agent, 2, "old", state=State.FINISHED, ended_at=NOW):
        agent.store.save(job)
    assert listed(ask(agent, "GET /jobs?state=finished")) == ["old-1", "old-0"]
    assert listed(ask(agent, "GET /jobs?state=queued&name=shop")) == ["shop-1", "shop-0"]
    assert listed(ask(agent, "GET /jobs?state=failed")) == []


@pytest.mark.parametrize(
    "query",
    [
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
def test_a_wrong_parameter_is_said(agent: Agent, query: str) -> None:
    """What is unknown, twice there or out of bounds is 400, and named."""
    answer = ask(agent, f"GET /jobs?{query}")
    assert answer.status == 400
    assert query.partition("=")[0] in answer.body.decode()


def test_cancelling_says_whether_it_is_over(agent: Agent) -> None:
    """200 when nothing runs any more, 202 while the job comes to its end, 404 for nobody's job."""
    waiting, running, over = add(agent, 3)

    def cancel(job: Job) -> bool:
        job.state = State.STOPPING if job is running else State.CANCELLED
        job.cause = outcome.CANCELLED
        return True

    agent.cancelled = cancel
    running.state = State.RUNNING
    over.state = State.FINISHED
    answers = [ask(agent, f"DELETE /jobs/{job.id}") for job in (waiting, running, over)]
    assert [answer.status for answer in answers] == [200, 202, 200]
    shown = [json.loads(answer.body) for answer in answers]
    assert [job["state"] for job in shown] == ["cancelled", "stopping", "finished"]
    assert [job["reason"] for job in shown] == ["cancelled", "cancelled", None]
    assert ask(agent, "DELETE /jobs/nobody").status == 404


def test_a_cancel_that_the_disk_does_not_take_yet(agent: Agent) -> None:
    """It has its effect, and is not answered as one that survives a power cut."""
    (waiting,) = add(agent, 1)

    def cancel(job: Job) -> bool:
        job.state, job.cause = State.CANCELLED, outcome.CANCELLED
        return False

    agent.cancelled = cancel
    answer = ask(agent, f"DELETE /jobs/{waiting.id}")
    assert (answer.status, json.loads(answer.body)["state"]) == (202, "cancelled")


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
def test_queueing_while_something_is_wrong_with_the_host(
    agent: Agent, status: str, answered: int
) -> None:
    """What can be stored is taken and waits; what cannot is refused."""
    binary = json.loads(agent.request(golo_cli.upload(b"#!/bin/sh\n")).body)["binary"]
    agent.health = lambda: Health(status, "What is wrong.")
    body = json.dumps({"binary": binary})
    head = f"POST /queue HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = agent.request((head + body).encode())
    assert answer.status == answered
    assert answered == 201 or b"disk" in answer.body
    assert (b"What is wrong" in answer.body) is False, "it may name a path"


def test_the_api_describes_itself(agent: Agent) -> None:
    """Each route that is served is in the description, with what it answers."""
    answer = ask(agent, "GET /openapi.json")
    described = json.loads(answer.body)
    assert (answer.status, described["openapi"]) == (200, "3.1.0")
    assert {*described["paths"]} >= {
        "/upload",
        "/queue",
        "/jobs",
        "/jobs/{job_id}",
        "/openapi.json",
    }
    assert {*described["paths"]["/jobs/{job_id}"]["delete"]["responses"]} >= {"200", "202", "404"}


# Giving up results.


def pending(agent: Agent, state: State = State.FINISHED) -> Job:
    """Return a job with 7 results that the collector does not take."""
    [job] = add(
        agent,
        1,
        state=state,
        ended_at=NOW,
        lines=LineCounts(read=12, invalid=2),
        checkpoint=Checkpoint(rejected=3),
    )

    def abandon(given: Job) -> int:
        assert given is job
        job.checkpoint.abandoned = count = job.results.pending
        agent.jobs.change(job)
        return count

    agent.abandon = abandon
    return job


def test_results_can_be_given_up(agent: Agent) -> None:
    """The answer has the account, which holds; the job is settled; it may be repeated."""
    job = pending(agent)
    for _ in range(2):
        answer = ask(agent, "DELETE /jobs/shop-0/results")
        assert answer.status == 200
        assert json.loads(answer.body) == {
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


@pytest.mark.parametrize("state", [State.QUEUED, State.STARTING, State.RUNNING, State.STOPPING])
def test_results_of_a_job_that_is_not_over_are_kept(agent: Agent, state: State) -> None:
    """They may still be printed: cancel it first."""
    job = pending(agent, state)
    answer = ask(agent, "DELETE /jobs/shop-0/results")
    assert answer.status == 409
    assert state.value in answer.body.decode()
    assert job.results.pending == 7


def test_results_of_no_job_are_not_found(agent: Agent) -> None:
    """Nor is anything given up."""
    assert ask(agent, "DELETE /jobs/nope/results").status == 404


def test_results_that_are_still_counted_are_kept(agent: Agent) -> None:
    """At the start an account may not be right yet."""
    job = pending(agent)
    agent.health = lambda: Health("starting")
    answer = ask(agent, "DELETE /jobs/shop-0/results")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "30")
    assert job.results.pending == 7


def test_what_cannot_be_kept_is_not_given_up(agent: Agent, logged_errors: Any) -> None:
    """With a full disk it is not answered 200."""
    pending(agent)

    def abandon(job: Job) -> int:
        raise OSError(28, "No space left on device")

    agent.abandon = abandon
    assert ask(agent, "DELETE /jobs/shop-0/results").status == 507
    assert len(logged_errors.flush()) == 1
