"""The audit log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from unit.http import golo_cli
from unit.http.in_memory import Agent

from goloagent.http.auth.access import AccessPolicy
from goloagent.http.auth.audit import MAX_REFUSAL_BURST, MAX_VALUE_CHARS, Audit
from goloagent.jobs.job import State


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Return the lines of the audit log."""
    written: list[str] = []

    def observe(event: LogEvent) -> None:
        if event["log_namespace"] == "goloagent.audit":
            written.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield written
    globalLogPublisher.removeObserver(observe)


def queue(binary: str) -> bytes:
    """Return the request for a job."""
    body = json.dumps({"name": "shop", "users": 5, "duration": 7, "binary": binary}).encode()
    return b"POST /queue HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )


def test_an_upload_whose_client_disconnects(agent: Agent, lines: list[str]) -> None:
    """A stored binary has a line even if its client has disconnected."""

    def in_thread(function: Callable[..., object], *arguments: object) -> Deferred[Any]:
        return Deferred() if agent.store.binaries() else maybeDeferred(function, *arguments)

    agent.in_thread = in_thread
    connection = agent.connect()
    connection.send(golo_cli.upload(b"#!/bin/sh\n"))
    connection.lose()
    [kept] = agent.store.binaries()
    assert [line.split()[:3:2] for line in lines] == [["upload", f"binary={kept.id}"]]


def test_actions(agent: Agent, lines: list[str]) -> None:
    """An upload, a queued job, a cancel and a removal have a line; reading has none."""

    def cancelled(job: object) -> bool:
        agent.submitted[0].state = State.CANCELLED
        return True

    agent.cancelled = cancelled
    uploaded = agent.request(golo_cli.upload(b"#!/bin/sh\n"))
    binary = json.loads(uploaded.body)["binary"]
    sha256 = agent.store.binaries()[0].sha256
    job = json.loads(agent.request(queue(binary)).body)["id"]
    for method, path in (
        ("GET", f"/jobs/{job}"),
        ("DELETE", f"/jobs/{job}"),
        ("DELETE", f"/jobs/{job}"),  # it is over: nothing is done
        ("GET", "/jobs/none"),
        ("DELETE", f"/binaries/{binary}"),
    ):
        agent.request(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert lines == [
        f"upload peer=127.0.0.1 binary={binary} sha256={sha256} bytes=10",
        f"queue peer=127.0.0.1 job={job} name=shop binary={binary} users=5 duration=7",
        f"cancel peer=127.0.0.1 job={job}",
        f"remove peer=127.0.0.1 binary={binary}",
    ]


def test_refusals(agent: Agent, lines: list[str]) -> None:
    """The line has the client, the request and the reason, and no credentials."""
    agent.access = AccessPolicy(token=b"right")
    for peer in (IPv4Address("TCP", "192.0.2.1", 4000), UNIXAddress(None)):
        connection = agent.connect(peer)
        connection.send(
            b"POST /upload?token=query HTTP/1.1\r\nHost: localhost\r\n"
            b"Authorization: Bearer wrong\r\nContent-Length: 5\r\n\r\n"
        )
        assert connection.response().status == 401
    why = '"a valid bearer token is required"'
    assert lines == [
        f'refuse peer={peer} status=401 request="POST /upload" why={why}'
        for peer in ("192.0.2.1", "unix")
    ]


def test_a_refused_connection(agent: Agent, lines: list[str]) -> None:
    """A refusal before the request line has a line without a request."""
    connection = agent.connect()
    connection.send(b"NONSENSE\r\n\r\n")
    assert connection.response().status == 400
    assert lines == ['refuse peer=127.0.0.1 status=400 why="the request is malformed"']


def test_values_are_escaped(agent: Agent, lines: list[str]) -> None:
    """A value that a client has chosen is one word, escaped and bounded."""
    agent.request(b"PUT /%0Aupload%20peer=127.0.0.1%22%FF HTTP/1.1\r\nHost: localhost\r\n\r\n")
    agent.request(b"PUT /jobs%0A HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    agent.request(b"PUT /%s HTTP/1.1\r\nHost: evil.example\r\n\r\n" % (b"a" * 9999))
    assert all("\n" not in line and len(line) < 3 * MAX_VALUE_CHARS for line in lines)
    assert r'request="PUT /jobs\n"' in lines[-2]
    assert f'request="PUT /{"a" * (MAX_VALUE_CHARS - 5)}…"' in lines[-1]


def test_refusals_are_rate_limited(lines: list[str]) -> None:
    """After a burst there is one line a second; all are counted."""
    seconds, counted = [0.0], []
    audit = Audit(lambda: seconds[0], counted.append)
    for _ in range(1000):
        audit.record_refusal("192.0.2.1", 403, "no")
    assert len(lines) == MAX_REFUSAL_BURST
    seconds[0] += 1
    audit.record_refusal("192.0.2.1", 403, "no")
    audit.record_refusal("192.0.2.1", 403, "no")
    audit.record("cancel", "192.0.2.2", job="one")
    assert lines[MAX_REFUSAL_BURST:] == [
        f"refuse peer=192.0.2.1 status=403 why=no unwritten={1000 - MAX_REFUSAL_BURST}",
        "cancel peer=192.0.2.2 job=one",
    ]
    assert counted == [403] * 1002
