"""The endpoints of binaries."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.http.in_memory import NOW, Agent, Response

from goloagent.core.job_spec import JobSpec
from goloagent.jobs.database import Binary
from goloagent.jobs.job import Job, State

SCRIPT = b"#!/bin/sh\n"


def ask(agent: Agent, start: str) -> Response:
    """Send a request without a body to localhost."""
    return agent.request(f"{start} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


def upload(agent: Agent, content: bytes, filename: str = "x") -> Response:
    """Send a form with a file."""
    head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
    body = head.encode() + content + b"\r\n--b--\r\n"
    return agent.request(
        b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n" % len(body)
        + b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        + body
    )


def uploaded(agent: Agent, content: bytes) -> str:
    """Upload a file and return the binary's id."""
    response = upload(agent, content)
    assert response.status == 200, response
    binary: str = json.loads(response.body)["binary"]
    return binary


def binary_in(response: Response) -> Any:
    """Return the binary in a response."""
    assert response.status == 200, response
    return json.loads(response.body)


def queue(agent: Agent, binary: str) -> Job:
    """Queue a job that needs a binary."""
    job = Job(f"job of {binary}", JobSpec("shop", 1, 1, binary), NOW)
    agent.store.add(job)
    return job


def test_a_binary(agent: Agent) -> None:
    """Its size, content and time are binary_in, and whether a job needs it."""
    binary, sha256 = uploaded(agent, SCRIPT), hashlib.sha256(SCRIPT).hexdigest()
    resource = {
        "id": binary,
        "name": "x",
        "size": len(SCRIPT),
        "sha256": sha256,
        "uploaded_at": "2026-01-02T03:04:05.600000Z",
        "in_use": False,
    }
    assert binary_in(ask(agent, f"GET /binaries/{binary}")) == resource
    job = queue(agent, binary)
    assert binary_in(ask(agent, f"GET /binaries/{binary}")) == resource | {"in_use": True}
    job.state = State.FAILED
    assert binary_in(ask(agent, f"GET /binaries/{binary}")) == resource


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("checkout.py", "checkout.py"),
        ("/home/me/checkout.py", "checkout.py"),
        (r"C:\\tests\\checkout.exe", "checkout.exe"),
        ("prüfung.py", "prüfung.py"),
        ("a\tb\u202ec", "abc"),
        ("x" * 500, "x" * 128),
    ],
)
def test_the_name_of_a_binary(agent: Agent, filename: str, name: str) -> None:
    """It is the name of the uploaded file without directories and control characters."""
    binary = json.loads(upload(agent, SCRIPT, filename).body)["binary"]
    assert binary_in(ask(agent, f"GET /binaries/{binary}"))["name"] == name


def test_a_client_can_skip_an_upload(agent: Agent) -> None:
    """HEAD and GET by content return the newest binary with it, whose id can be queued."""
    sha256 = hashlib.sha256(SCRIPT).hexdigest()
    assert ask(agent, f"HEAD /binaries/{sha256}").status == 404
    first, second = uploaded(agent, SCRIPT), uploaded(agent, SCRIPT)
    uploaded(agent, SCRIPT + b"# another")
    assert first != second
    for digest in (sha256, sha256.upper()):
        response = ask(agent, f"HEAD /binaries/{digest}")
        assert (response.status, response.headers["Content-Location"]) == (
            200,
            f"/binaries/{second}",
        )
    assert binary_in(ask(agent, f"GET /binaries/{sha256}"))["id"] == second
    body = json.dumps({"duration": 1, "binary": second})
    queued = agent.request(
        f"POST /queue HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".replace(
            "Host: x", "Host: localhost"
        ).encode()
    )
    assert queued.status == 201


def test_equal_uploads_share_a_file(agent: Agent) -> None:
    """Each upload has an id of its own, which golo-cli expects, without another copy."""
    ids = [uploaded(agent, SCRIPT) for _ in range(5)]
    assert len({*ids}) == 5
    assert len({file.stat().st_ino for file in agent.files}) == 1


@pytest.mark.parametrize("key", ["nobody", "0" * 64, "0" * 63, "..%2F..%2Fagent.sqlite", "%00"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_unknown_binaries(agent: Agent, method: str, key: str) -> None:
    """An unknown id or content is 404."""
    uploaded(agent, SCRIPT)
    assert ask(agent, f"{method} /binaries/{key}").status == 404
    assert len(agent.files) == 1


def test_delete(agent: Agent) -> None:
    """A binary is removed unless a queued or running job needs it; jobs stay."""
    binary = uploaded(agent, SCRIPT)
    job = queue(agent, binary)
    for state in (State.QUEUED, State.STARTING, State.RUNNING, State.STOPPING):
        job.state = state
        response = ask(agent, f"DELETE /binaries/{binary}")
        assert (response.status, binary in response.body.decode()) == (409, True)
    job.state = State.CANCELLED
    agent.store.save(job)
    resource = binary_in(ask(agent, f"DELETE /binaries/{binary}"))
    assert (resource["id"], resource["in_use"]) == (binary, False)
    assert agent.files == []
    assert ask(agent, f"DELETE /binaries/{binary}").status == 404
    assert (
        binary_in(ask(agent, f"GET /jobs/{job.id}".replace(" of ", "%20of%20")))["binary"] == binary
    )


def test_delete_by_content_is_refused(agent: Agent) -> None:
    """Several clients may share a content, so it is not removed by its digest."""
    uploaded(agent, SCRIPT)
    digest = hashlib.sha256(SCRIPT).hexdigest()
    assert ask(agent, f"DELETE /binaries/{digest}").status == 404
    assert len(agent.files) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(limit=st.integers(1, 9))
def test_pages_contain_every_binary_once(agent: Agent, limit: int) -> None:
    """The pages at `next` contain all binaries, the newest first."""
    for number in range(7 if agent.store.binary("b-0") is None else 0):
        binary = Binary(f"b-{number}", "c", 1, NOW + timedelta(seconds=number % 3))
        agent.store.add_binary(binary)
    seen, path = [], f"/binaries?limit={limit}"
    while path:
        page = binary_in(ask(agent, f"GET {path}"))
        assert len(page["binaries"]) <= limit
        seen.extend(binary["id"] for binary in page["binaries"])
        path = page["next"]
    assert seen == [f"b-{number}" for number in range(6, -1, -1)]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "before=nobody", "page=2"])
def test_an_invalid_parameter_is_named(agent: Agent, query: str) -> None:
    """An unknown parameter, or one out of its bounds, is 400."""
    response = ask(agent, f"GET /binaries?{query}")
    assert response.status == 400
    assert query.partition("=")[0] in response.body.decode()


def test_an_upload_beyond_the_quota(agent: Agent) -> None:
    """If jobs need the other binaries it is 507, with the numbers."""
    agent.artifacts.max_bytes = len(SCRIPT)
    binary = uploaded(agent, SCRIPT)
    job = queue(agent, binary)
    response = upload(agent, SCRIPT + b"#")
    assert response.status == 507
    assert response.body.decode() == (
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
