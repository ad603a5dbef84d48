"""The endpoint that changes a running job."""

from __future__ import annotations

import json
from http import HTTPStatus

import pytest
from unit.http.in_memory import NOW, Agent, Response

from goloagent.core.job_spec import JobSpec
from goloagent.core.profile.parser import constant
from goloagent.jobs.job import Job, State
from goloagent.runs.steering import ImpossibleChange, Steering


def patch(agent: Agent, body: str, media_type: str = "application/merge-patch+json") -> Response:
    """Send a change of the job."""
    return agent.request(
        f"PATCH /jobs/j HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )


def running(agent: Agent) -> Steering:
    """Add a running job of 25 users, and return its load."""
    agent.store.add(Job("j", JobSpec("shop", 25, 60, "b"), NOW, state=State.RUNNING))
    steering = Steering(constant("users", 25, 60))
    agent.change = lambda job, request: steering.change(request, 10**9)
    return steering


def test_a_running_job_follows_a_change(agent: Agent) -> None:
    """The response is the job."""
    steering = running(agent)
    response = patch(agent, '{"users": 40, "duration": "2m"}')
    assert (response.status, json.loads(response.body)["id"]) == (200, "j")
    assert (steering.planned.users(2 * 10**9), steering.planned.seconds) == (40, 120)


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        ('{"rate": 5}', 422, "this job has users, not rate: give users"),
        ('{"user": 5}', 422, '"user" is not known: use users, rate, paused, duration'),
        ('{"\\n` $.rate": 5}', 422, '"\\n` $.rate" is not known: use users'),
        ('{"users": -1}', 422, "users must be a number from 0 to 100000\n"),
        ('{"users": "many"}', 422, "users must be a number from 0 to 100000\n"),
        ('{"rate": 1e9}', 422, "rate must be a number from 0 to 1000000\n"),
        ('{"paused": 1}', 422, "paused must be true or false\n"),
        ('{"duration": []}', 422, "duration must be seconds, or a text such as 90s or 5m\n"),
        ("{}", 422, "give users, paused or duration"),
        ("[]", 400, "invalid JSON"),
        ('{"users"', 400, "invalid JSON"),
    ],
)
def test_a_change_that_is_refused(agent: Agent, body: str, status: int, part: str) -> None:
    """It says why, and changes nothing."""
    steering = running(agent)
    before = steering.planned
    response = patch(agent, body)
    assert response.status == status
    assert part in response.body.decode()
    assert steering.planned is before


def test_each_error_has_its_standard_phrase(agent: Agent) -> None:
    """Twisted has none for 422."""
    running(agent)
    connection = agent.connect()
    connection.send(
        b"PATCH /jobs/j HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )
    assert connection.received.startswith(f"HTTP/1.1 422 {HTTPStatus(422).phrase}\r\n".encode())


def test_a_job_that_does_not_run(agent: Agent) -> None:
    """The state is in the way, not the request."""
    running(agent)

    def refuse(*_: object) -> None:
        raise ImpossibleChange("job j is finished: only a running job can be changed")

    agent.change = refuse
    assert patch(agent, '{"users": 5}').status == 409


def test_a_form_is_refused(agent: Agent) -> None:
    """Pages of other sites can send forms."""
    running(agent)
    assert patch(agent, "users=5", "application/x-www-form-urlencoded").status == 415
    assert (
        agent.request(
            b"PATCH /jobs/other HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\n\r\n"
        ).status
        == 404
    )
