"""D4: a request without the token has no effect."""

from __future__ import annotations

import base64
import http.client
import re
from pathlib import Path

from peers.agent import TOKEN, Agent
from twisted.internet.threads import deferToThread

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "FOO")
FORM = "multipart/form-data; boundary=b"
BODY = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    b"#!/bin/sh\n\r\n--b--\r\n"
)


def basic(user: str, password: str) -> str:
    """Return an Authorization header of HTTP Basic."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


WRONG = {
    "none": [],
    "wrong": [f"Bearer {TOKEN[::-1]}"],
    "prefix": [f"Bearer {TOKEN[:-1]}"],
    "longer": [f"Bearer {TOKEN}x"],
    "in other case": [f"Bearer {TOKEN.upper()}"],
    "empty": ["Bearer "],
    "no scheme": [TOKEN],
    "another scheme": [f"Token {TOKEN}"],
    "twice": [f"Bearer {TOKEN}"] * 2,
    "twice, one wrong": [f"Bearer {TOKEN}", "Bearer x"],
    "twice in one": [f"Bearer {TOKEN}, Bearer {TOKEN}"],
    "basic, wrong": [basic("", TOKEN[:-1])],
    "basic, empty": [basic("", "")],
    "not ASCII": ["Bearer \xff\xfe"],
}


class Client:
    """Sends requests with any Authorization headers, each on a new connection."""

    def __init__(self, port: int) -> None:
        self._port = port

    def status(self, method: str, path: str, authorization: list[str]) -> int:
        """Return the status of the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        connection.putrequest(method, path)
        for value in authorization:
            connection.putheader("Authorization", value)
        connection.putheader("Content-Type", FORM)
        connection.putheader("Content-Length", str(len(BODY)))
        connection.endheaders(BODY)
        status = connection.getresponse().status
        connection.close()
        return status


def stored(agent: Agent) -> dict[Path, int]:
    """Return the size of every file of the agent."""
    files = [*agent.state.rglob("*"), *agent.logs.rglob("*")]
    return {path: path.stat().st_size for path in files if path.is_file()}


async def test_d4_without_the_token_nothing_happens(idle_agent: Agent) -> None:
    """Every route with every method and every wrong token is 401.

    The exception is GET /health without a token from the agent's own host.
    """
    idle_agent.require_token()
    await idle_agent.start()
    described = await idle_agent.request("GET", "/openapi.json")
    declared = described.json["paths"]
    paths = [re.sub(r"\{.*?\}", "0b1e", path) for path in declared] + ["/", "/nothing", "/health/"]
    assert {"/upload", "/queue", "/jobs", "/jobs/{job_id}", "/health"} <= {*declared}
    before = stored(idle_agent)

    def ask_all() -> list[tuple[str, str, str, int]]:
        client = Client(idle_agent.port)
        return [
            (method, path, name, client.status(method, path, authorization))
            for path in paths
            for method in METHODS
            for name, authorization in WRONG.items()
            if (path, name) != ("/health", "none") or method not in ("GET", "HEAD")
        ]

    answers = await deferToThread(ask_all)
    print(f"D4: {len(declared)} paths, {len(answers)} requests without the token: 401 each")
    assert [answer for answer in answers if answer[-1] != 401] == []
    assert stored(idle_agent) == before
    assert (
        await deferToThread(Client(idle_agent.port).status, "GET", "/health", WRONG["none"]) == 200
    )
    assert (
        await deferToThread(Client(idle_agent.port).status, "POST", "/upload", WRONG["none"]) == 401
    )
    right = [f"Bearer {TOKEN}"]
    assert await deferToThread(Client(idle_agent.port).status, "POST", "/upload", right) == 200
    assert stored(idle_agent) != before
