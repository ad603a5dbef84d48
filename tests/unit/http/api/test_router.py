"""The routes, requested as clients do."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.http import golo_cli
from unit.http.in_memory import NOW, Agent, Response

from goloagent.host.readiness import Health, Protections
from goloagent.http.api.queue import QUEUE_LIMIT
from goloagent.jobs.database import Binary
from goloagent.jobs.job import Job, State
from goloagent.outputs.status import CollectorStatus

SCRIPT = b"#!/bin/sh\nexit 0\n"
BINARY = Binary(id="b-1", sha256="0" * 64, size=10, uploaded_at=NOW)


def ask(agent: Agent, start: str, body: bytes = b"", **headers: str) -> Response:
    """Send one request to localhost."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = [f"{start} HTTP/1.1", "Host: localhost:8081", f"Content-Length: {len(body)}", *lines]
    return agent.request("\r\n".join([*head, "", ""]).encode() + body)


def queue(agent: Agent, **members: Any) -> Response:
    """Queue a job as golo-cli does."""
    return agent.request(golo_cli.queue(json.dumps(members).encode()))


def test_an_upload_is_durable(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, its directories and its row are synced before the response."""
    connection, synced = agent.connect(), list[tuple[bool, int, bytes]]()

    def fsync(descriptor: int) -> None:
        is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        named = len(list(agent.artifacts.ids.iterdir()))
        synced.append((is_directory, named, connection.received))

    monkeypatch.setattr(os, "fsync", fsync)
    connection.send(golo_cli.upload(SCRIPT))
    assert synced == [(False, 0, b""), (True, 1, b""), (True, 1, b""), (False, 1, b"")]
    assert connection.response().status == 200


def test_golo_cli_uploads(agent: Agent) -> None:
    """The bytes of golo-cli of 2018 give 200 and the text that it reads the id from."""
    response = agent.request(golo_cli.upload(SCRIPT))
    [kept] = agent.files
    assert UUID(kept.name).version == 4
    assert response.status == 200
    assert response.body == f'{{"binary": "{kept.name}"}}'.encode()
    assert response.headers["Content-Type"] == "application/json"
    assert kept.read_bytes() == SCRIPT


def test_golo_cli_queues(agent: Agent) -> None:
    """The bytes of golo-cli of 2018, without a Content-Type, queue a job."""
    agent.store.add_binary(BINARY)
    response = queue(agent, name="shop", users=5, duration=10, binary="b-1")
    [job] = agent.submitted
    assert response.status == 201
    assert response.body == f'{{"queued": true, "id": "{job.id}"}}'.encode()
    assert response.headers["Location"] == f"/jobs/{job.id}"
    assert UUID(job.id).version == 4
    assert agent.store.queued() == [job]
    assert job.queued_at == NOW
    assert (job.spec.name, job.spec.users, job.spec.duration_seconds) == ("shop", 5, 10)


def test_a_job_whose_commit_fails_is_not_run(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, logged_errors: Any
) -> None:
    """A client that gets 503 may queue the job again, and it runs once."""
    agent.store.add_binary(BINARY)
    cancelled: list[Job] = []

    def cancel(job: Job) -> bool:
        cancelled.append(job)
        return True

    async def commit() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    agent.cancelled = cancel
    monkeypatch.setattr(agent.syncer, "commit", commit)
    assert queue(agent, binary="b-1").status == 503
    assert cancelled == agent.store.queued()
    assert len(cancelled) == len(logged_errors.flush()) == 1


def test_ignored_members_are_named(agent: Agent) -> None:
    """The response has unknown members; case does not matter."""
    agent.store.add_binary(BINARY)
    response = queue(agent, Binary="b-1", USERS=3, durations=60, arg=1)
    assert response.status == 201, response
    assert json.loads(response.body)["ignored"] == ["durations", "arg"]
    [job] = agent.store.queued()
    assert (job.spec.users, job.spec.duration_seconds) == (3, 0)


def test_a_job_is_stored_before_it_is_announced(agent: Agent) -> None:
    """The scheduler finds it in the store."""
    agent.store.add_binary(BINARY)
    found: list[Job | None] = []
    agent.submitted = _Calls(lambda job: found.append(agent.store.get(job.id)))
    queue(agent, binary="b-1")
    assert len(found) == 1
    assert isinstance(found[0], Job)


class _Calls(list[Job]):
    """A list that records appended items."""

    def __init__(self, tell: Any) -> None:
        self._tell = tell

    def append(self, job: Job) -> None:
        self._tell(job)


@pytest.mark.parametrize("binary", ["", "b-2", "../b-1", "b-1/", "B-1", "a\nb"])
def test_an_unknown_binary_is_named(agent: Agent, binary: str) -> None:
    """The error has the text that golo-cli users know."""
    agent.store.add_binary(BINARY)
    response = queue(agent, binary=binary)
    assert (response.status, response.body) == (400, f"{binary} is an invalid binary\n".encode())
    assert agent.submitted == []


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "invalid JSON: "),
        (b"{", "invalid JSON: "),
        (b'{"binary": "b-1"} x', "invalid JSON: "),
        (b"[]", "invalid JSON: "),
        (b"\xff", "invalid JSON: not UTF-8 at byte 0"),
        (b"\xef\xbb\xbf{}", "invalid JSON: "),
        (b'{"users": NaN}', "invalid JSON: "),
        (b'{"users": ' + b"9" * 5000 + b"}", "invalid JSON: "),
        (b'{"binary": "\\ud800"}', "invalid JSON: "),
        (b'{"name": "../x"}', "invalid name "),
        (b'{"users": -1}', "invalid users -1"),
    ],
)
def test_an_invalid_job_is_explained(agent: Agent, body: bytes, sentence: str) -> None:
    """It is 400 with the defect and its place."""
    response = agent.request(golo_cli.queue(body))
    assert response.status == 400
    assert response.body.decode().startswith(sentence)
    assert agent.submitted == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.one_of(
        st.binary(max_size=60),
        st.dictionaries(
            st.sampled_from(["name", "users", "duration", "binary", "other"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
                max_leaves=5,
            ),
        ).map(lambda members: json.dumps(members).encode()),
    )
)
def test_any_job(agent: Agent, body: bytes) -> None:
    """A job without a valid binary is 400, whatever its other members are."""
    assert agent.request(golo_cli.queue(body)).status == 400


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", 201),
        ("application/json; charset=utf-8", 201),
        ("application/vnd.golo+json", 201),
        ("", 201),
        ("text/plain", 415),
        ("Text/Plain;charset=UTF-8", 415),
        ("text/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
    ],
)
def test_a_form_is_not_a_job(agent: Agent, content_type: str, expected: int) -> None:
    """Types that web pages can send without CORS are 415; JSON or none is accepted."""
    agent.store.add_binary(BINARY)
    response = ask(agent, "POST /queue", b'{"binary": "b-1"}', Content_Type=content_type)
    assert response.status == expected


def test_the_queue_holds_32(agent: Agent) -> None:
    """The next job is 503 with Retry-After."""
    agent.store.add_binary(BINARY)
    assert queue(agent, binary="b-1").status == 201
    agent.submitted[0].state = State.RUNNING
    for _ in range(QUEUE_LIMIT):
        assert queue(agent, binary="b-1").status == 201
    response = queue(agent, binary="b-1")
    assert (response.status, response.headers["Retry-After"]) == (503, "30")
    assert response.body == b"the queue is full: 32 jobs are waiting\n"
    agent.submitted[1].state = State.STARTING
    assert queue(agent, binary="b-1").status == 201


def test_a_full_disk_is_507(agent: Agent, logged_errors: Any) -> None:
    """A job that SQLite cannot store is not queued."""
    agent.store.add_binary(BINARY)
    database = agent.store._database
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    responses = [queue(agent, binary=BINARY.id, name="n" * 64) for _ in range(QUEUE_LIMIT)]
    full = [response for response in responses if response.status != 201]
    assert full, "the database never became full"
    assert {(response.status, response.body) for response in full} == {
        (507, b"the agent's disk is full: remove files from it, or lower --min-free\n")
    }
    assert len(logged_errors.flush()) == len(full)
    assert len(agent.store.queued()) == len(agent.submitted) == len(responses) - len(full)


def test_a_job_is_shown_in_its_present_state(agent: Agent) -> None:
    """The resource at Location follows the job."""
    agent.store.add_binary(BINARY)
    location = queue(agent, name="shop", binary="b-1").headers["Location"]
    job = agent.submitted[0]
    response = ask(agent, f"GET {location}")
    shown = json.loads(response.body)
    assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
    assert (shown["id"], shown["state"]) == (job.id, "queued")
    assert shown["queued_at"] == "2026-01-02T03:04:05.600000Z"
    job.state = State.RUNNING
    job.calls.started = 7
    shown = json.loads(ask(agent, f"GET {location}").body)
    assert (shown["state"], shown["calls"]["in_flight"]) == ("running", 7)


@pytest.mark.parametrize(
    ("health", "status", "expected"),
    [
        (
            Health(protections=Protections(run_as="nobody", min_free_bytes=7)),
            200,
            {
                "status": "ready",
                "reason": None,
                "protections": {
                    "processes": "process-group",
                    "files": "owner",
                    "run_as": "nobody",
                    "token": False,
                    "min_free_bytes": 7,
                },
                "notices": [],
                "collector": {
                    "url": None,
                    "state": "none",
                    "pending": 0,
                    "since": None,
                    "last_error": None,
                },
                "outputs": {},
            },
        ),
        (
            Health(
                "stopping",
                "the agent is stopping",
                Protections("pid-namespace", "landlock", "me", True),
                collector=CollectorStatus(
                    "http://c:1",
                    "retrying",
                    5,
                    datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
                    "connection refused",
                ),
            ),
            503,
            {
                "status": "stopping",
                "reason": "the agent is stopping",
                "protections": {
                    "processes": "pid-namespace",
                    "files": "landlock",
                    "run_as": "me",
                    "token": True,
                    "min_free_bytes": 0,
                },
                "notices": [],
                "collector": {
                    "url": "http://c:1",
                    "state": "retrying",
                    "pending": 5,
                    "since": "2026-01-02T03:04:05Z",
                    "last_error": "connection refused",
                },
                "outputs": {},
            },
        ),
    ],
)
def test_health(agent: Agent, health: Health, status: int, expected: dict[str, Any]) -> None:
    """It is 200 if ready, otherwise 503 with the reason."""
    agent.health = lambda: health
    response = ask(agent, "GET /health")
    assert (response.status, json.loads(response.body)) == (status, expected)


def test_head_is_get_without_a_body(agent: Agent) -> None:
    """HEAD has the headers of GET, also for errors."""
    for path in ("/health", "/jobs/unknown"):
        get, head = ask(agent, f"GET {path}"), ask(agent, f"HEAD {path}")
        assert head.status == get.status
        assert head.headers["Content-Length"] == get.headers["Content-Length"]
        assert get.body


@pytest.mark.parametrize(
    ("start", "allow"),
    [
        ("PUT /upload", "POST"),
        ("GET /upload", "POST"),
        ("DELETE /queue", "POST"),
        ("POST /health", "GET, HEAD"),
        ("PUT /jobs/x", "DELETE, GET, HEAD, PATCH"),
        ("OPTIONS /queue", "POST"),
        ("M! /queue", "POST"),
    ],
)
def test_another_method_is_405(agent: Agent, start: str, allow: str) -> None:
    """A known path with another method is 405 with the 2018 agent's text, and Allow."""
    response = ask(agent, start)
    method = start.split()[0]
    assert (response.status, response.headers["Allow"]) == (405, allow)
    assert response.body == f'Method "{method}" is not supported\n'.encode()


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/x", "/x"),
        ("/page/", "/page/"),
        ("/page/none.js", "/page/none.js"),
        ("/page/..%2Fpage.py", "/page/../page.py"),
        ("/x?y=1", "/x"),
        ("/a%20b%0A", r"/a b\n"),
        ("/jobs/unknown", "/jobs/unknown"),
        ("/jobs/%FF", r"/jobs/\udcff"),
    ],
)
def test_an_unknown_path_is_404(agent: Agent, path: str, shown: str) -> None:
    """The error names the path."""
    response = ask(agent, f"GET {path}")
    assert (response.status, response.body) == (404, f'"{shown}" does not exist\n'.encode())
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_json_errors(agent: Agent) -> None:
    """Errors of routes, of the router and of access are problem details if JSON is accepted."""
    for start, headers, status in (
        ("POST /queue", {}, 400),
        ("GET /nothing", {}, 404),
        ("PUT /queue", {}, 405),
        ("GET /health", {"Origin": "null"}, 403),
    ):
        response = ask(agent, start, Accept="application/json", **headers)
        assert response.status == status
        assert response.headers["Content-Type"] == "application/problem+json"
        assert json.loads(response.body)["status"] == status


def test_a_defect_is_500_without_detail(agent: Agent, logged_errors: Any) -> None:
    """An unexpected exception is logged once; the response has no details."""

    def fail() -> Health:
        raise RuntimeError("secret")

    agent.health = fail
    response = ask(agent, "GET /health")
    assert (response.status, response.body) == (500, b"internal error\n")
    assert len(logged_errors.flush(RuntimeError)) == 1


def test_ids_are_unique(agent: Agent) -> None:
    """Two uploads of a file have two ids."""
    responses = [agent.request(golo_cli.upload(SCRIPT)).body for _ in range(2)]
    assert responses[0] != responses[1]
    assert all(re.fullmatch(rb'\{"binary": "[0-9a-f-]{36}"\}', body) for body in responses)
