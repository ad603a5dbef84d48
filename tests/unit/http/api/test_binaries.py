"""Binaries over HTTP: found by id and by content, listed in pages, deleted."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.http.in_memory import NOW, Agent, Response

from goloagent.jobs.database import Binary
from goloagent.jobs.job import Job, State
from goloagent.jobs.spec import JobSpec

SCRIPT = b"#!/bin/sh\n"


def ask(agent: Agent, start: str) -> Response:
    """Send a request without a body to localhost."""
    return agent.request(f"{start} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


def upload(agent: Agent, content: bytes) -> Response:
    """Send a form with a file."""
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    body += content + b"\r\n--b--\r\n"
    return agent.request(
        b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n" % len(body)
        + b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        + body
    )


def uploaded(agent: Agent, content: bytes) -> str:
    """Upload a file and return the binary's id."""
    answer = upload(agent, content)
    assert answer.status == 200, answer
    binary: str = json.loads(answer.body)["binary"]
    return binary


def shown(answer: Response) -> Any:
    """Return the binary in an answer."""
    assert answer.status == 200, answer
    return json.loads(answer.body)


def queue(agent: Agent, binary: str) -> Job:
    """Have a job wait for a binary."""
    job = Job(f"job of {binary}", JobSpec("shop", 1, 1, binary), NOW)
    agent.store.add(job)
    return job


def test_a_binary(agent: Agent) -> None:
    """Its size, content and time are told, and whether a job needs it."""
    binary, sha256 = uploaded(agent, SCRIPT), hashlib.sha256(SCRIPT).hexdigest()
    resource = {
        "id": binary,
        "size": len(SCRIPT),
        "sha256": sha256,
        "uploaded_at": "2026-01-02T03:04:05.600000Z",
        "in_use": False,
    }
    assert shown(ask(agent, f"GET /binaries/{binary}")) == resource
    job = queue(agent, binary)
    assert shown(ask(agent, f"GET /binaries/{binary}")) == resource | {"in_use": True}
    job.state = State.FAILED
    assert shown(ask(agent, f"GET /binaries/{binary}")) == resource


def test_a_client_can_skip_an_upload(agent: Agent) -> None:
    """HEAD and GET by content find the newest binary with it, whose id can be queued."""
    sha256 = hashlib.sha256(SCRIPT).hexdigest()
    assert ask(agent, f"HEAD /binaries/{sha256}").status == 404
    first, second = uploaded(agent, SCRIPT), uploaded(agent, SCRIPT)
    uploaded(agent, SCRIPT + b"# another")
    assert first != second
    for digest in (sha256, sha256.upper()):
        answer = ask(agent, f"HEAD /binaries/{digest}")
        assert (answer.status, answer.headers["Content-Location"]) == (200, f"/binaries/{second}")
    assert shown(ask(agent, f"GET /binaries/{sha256}"))["id"] == second
    body = json.dumps({"duration": 1, "binary": second})
    queued = agent.request(
        f"POST /queue HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".replace(
            "Host: x", "Host: localhost"
        ).encode()
    )
    assert queued.status == 201


def test_the_same_again_is_one_file(agent: Agent) -> None:
    """As golo-cli expects each upload has an id of its own, and none costs a second copy."""
    ids = [uploaded(agent, SCRIPT) for _ in range(5)]
    assert len({*ids}) == 5
    assert len({file.stat().st_ino for file in agent.files}) == 1


@pytest.mark.parametrize("key", ["nobody", "0" * 64, "0" * 63, "..%2F..%2Fagent.sqlite", "%00"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_what_is_not_there(agent: Agent, method: str, key: str) -> None:
    """Whatever names no binary is 404."""
    uploaded(agent, SCRIPT)
    assert ask(agent, f"{method} /binaries/{key}").status == 404
    assert len(agent.files) == 1


def test_deleting(agent: Agent) -> None:
    """A binary goes unless a job that is not over needs it; the job stays in the history."""
    binary = uploaded(agent, SCRIPT)
    job = queue(agent, binary)
    for state in (State.QUEUED, State.STARTING, State.RUNNING, State.STOPPING):
        job.state = state
        answer = ask(agent, f"DELETE /binaries/{binary}")
        assert (answer.status, binary in answer.body.decode()) == (409, True)
    job.state = State.CANCELLED
    agent.store.save(job)
    resource = shown(ask(agent, f"DELETE /binaries/{binary}"))
    assert (resource["id"], resource["in_use"]) == (binary, False)
    assert agent.files == []
    assert ask(agent, f"DELETE /binaries/{binary}").status == 404
    assert shown(ask(agent, f"GET /jobs/{job.id}".replace(" of ", "%20of%20")))["binary"] == binary


def test_deleting_is_by_id(agent: Agent) -> None:
    """A content may be many clients' binary: it is not removed under its digest."""
    uploaded(agent, SCRIPT)
    digest = hashlib.sha256(SCRIPT).hexdigest()
    assert ask(agent, f"DELETE /binaries/{digest}").status == 404
    assert len(agent.files) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 9))
def test_pages_have_every_binary_once(agent: Agent, limit: int) -> None:
    """Following `next` lists what one long page lists, the newest first."""
    for number in range(7 if agent.store.binary("b-0") is None else 0):
        binary = Binary(f"b-{number}", "c", 1, NOW + timedelta(seconds=number % 3))
        agent.store.add_binary(binary)
    seen, path = [], f"/binaries?limit={limit}"
    while path:
        page = shown(ask(agent, f"GET {path}"))
        assert len(page["binaries"]) <= limit
        seen.extend(binary["id"] for binary in page["binaries"])
        path = page["next"]
    assert seen == [f"b-{number}" for number in range(6, -1, -1)]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "before=nobody", "page=2"])
def test_a_wrong_parameter_is_said(agent: Agent, query: str) -> None:
    """What is unknown or out of bounds is 400, and named."""
    answer = ask(agent, f"GET /binaries?{query}")
    assert answer.status == 400
    assert query.partition("=")[0] in answer.body.decode()


def test_no_room(agent: Agent) -> None:
    """An upload that would have room only in the place of what jobs need is 507, and says so."""
    agent.artifacts.max_bytes = len(SCRIPT)
    binary = uploaded(agent, SCRIPT)
    job = queue(agent, binary)
    answer = upload(agent, SCRIPT + b"#")
    assert answer.status == 507
    assert answer.body.decode() == (
        "a binary of 11 bytes exceeds the quota: all binaries may have 10 bytes "
        "(--max-binaries), and queued or running jobs need 10\n"
    )
    assert uploaded(agent, SCRIPT) != binary
    job.state = State.FINISHED
    agent.store.save(job)
    assert upload(agent, SCRIPT + b"#").status == 507
    assert len(agent.files) == 2
    other = uploaded(agent, SCRIPT[:-1])
    assert [file.name for file in agent.files] == [other]
