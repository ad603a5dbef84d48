"""The agent behind an `ssl:` endpoint."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from pathlib import Path

import attrs
import pytest
import pytest_twisted
from peers.agent import TOKEN, Agent
from peers.programs import Builder
from twisted.internet.threads import deferToThread
from unit.http import golo_cli


@attrs.frozen
class Client:
    """A client that accepts only this certificate, with a connection for each request."""

    port: int
    context: ssl.SSLContext

    def connect(self) -> ssl.SSLSocket:
        """Connect, and verify the certificate."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        return self.context.wrap_socket(plain, server_hostname="127.0.0.1")

    def send(self, request: bytes) -> tuple[int, bytes]:
        """Return the status and the body of the response."""
        head, _, rest = request.partition(b"\r\n")
        with self.connect() as connection:
            connection.sendall(head + b"\r\nAuthorization: Bearer %s\r\n" % TOKEN.encode() + rest)
            response = http.client.HTTPResponse(connection)
            response.begin()
            return response.status, response.read()

    def get(self, path: str) -> tuple[int, bytes]:
        """Return the response to a GET."""
        return self.send(f"GET {path} HTTP/1.1\r\nHost: agent.example\r\n\r\n".encode())


def is_cut(connection: socket.socket) -> bool:
    """Wait for the end of a connection; return whether no data came before."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest_twisted.async_fixture
async def client(idle_agent: Agent, tmp_path: Path) -> Client:
    """Return a client of an agent with TLS and a token."""
    port, pem = idle_agent.listen_with_tls()
    idle_agent.require_token()
    idle_agent.options["--max-connections-per-peer"] = "5"
    await idle_agent.start()
    return Client(port, ssl.create_default_context(cafile=str(pem)))


async def test_a_job_by_tls(idle_agent: Agent, client: Client, go_loadtest: Builder) -> None:
    """Uploads, jobs, events, logs and the page work as without TLS."""
    content = go_loadtest("counter", count=1000).read_bytes()
    status, body = await deferToThread(client.send, golo_cli.upload(content))
    assert status == 200, body
    wanted = {"name": "tls", "users": 5, "duration": 2, "binary": json.loads(body)["binary"]}
    status, body = await deferToThread(client.send, golo_cli.queue(json.dumps(wanted).encode()))
    assert status == 201, body
    job_id = json.loads(body)["id"]
    idle_agent.jobs.append(job_id)
    status, events = await deferToThread(client.get, f"/jobs/{job_id}/events")
    assert (status, events.count(b"event: progress") > 0) == (200, True)
    assert b'"state":"finished"' in events
    status, log = await deferToThread(client.get, f"/jobs/{job_id}/out.log?follow=1")
    assert (status, log.count(b"\n")) == (200, 1000)
    assert log == idle_agent.run_log(job_id, "tls").read_bytes()
    job = await idle_agent.settled(job_id)
    assert job["results"]["delivered"] == 1000


async def test_clients_that_do_not_trust_it(client: Client) -> None:
    """A verifying client rejects the agent, and one without TLS gets no response."""
    strict = Client(client.port, ssl.create_default_context())
    with pytest.raises(ssl.SSLCertVerificationError):
        await deferToThread(strict.get, "/health")

    def without_tls() -> bytes:
        with socket.create_connection(("127.0.0.1", client.port), timeout=30) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return connection.recv(4096)

    assert not (await deferToThread(without_tls)).startswith(b"HTTP/")


async def test_connections_without_a_handshake(client: Client) -> None:
    """Connections without a handshake count, and are closed at the timeout of headers."""

    def crowd() -> tuple[int, list[bool], int]:
        # The fifth one asked whether the agent is ready.
        silent = [socket.create_connection(("127.0.0.1", client.port), 30) for _ in range(4)]
        beyond = client.get("/health")[0]
        ended = [is_cut(connection) for connection in silent]
        for connection in silent:
            connection.close()
        return beyond, ended, client.get("/health")[0]

    assert await deferToThread(crowd) == (200, [True] * 4, 200)
