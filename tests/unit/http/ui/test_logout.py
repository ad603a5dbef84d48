"""`/logout`: a 401 that makes a browser forget the token and does not make it ask for one."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from twisted.internet.address import IPv4Address
from unit.http.in_memory import Agent, Response

from goloagent.http.auth.access import AccessPolicy

TOKEN = b"correct-horse"
BY_BROWSER = (b"Accept: text/html, */*;q=0.8", b"Sec-Fetch-Site: same-origin")
PASSWORD = b"Authorization: Basic " + base64.b64encode(b"me:" + TOKEN)


def ask(agent: Agent, target: bytes, *headers: bytes) -> Response:
    """Return the response to a request from another host, without a body."""
    connection = agent.connect(IPv4Address("TCP", "192.0.2.1", 40000))
    lines = [target + b" HTTP/1.1", b"Host: agent.example", *headers, b"", b""]
    connection.send(b"\r\n".join(lines))
    return connection.response(bodies=not target.startswith(b"HEAD"))


@pytest.mark.parametrize(
    ("target", "headers", "title"),
    [
        (b"GET /logout", (PASSWORD,), "Log out"),
        (b"GET /logout?again", (PASSWORD,), "Still logged in"),
        (b"GET /logout?again", (), "Logged out"),
        (b"GET /logout", (), "Logged out"),
        (b"GET /logout", (b"Authorization: Bearer wrong",), "Logged out"),
    ],
)
def test_the_page(agent: Agent, target: bytes, headers: tuple[bytes, ...], title: str) -> None:
    """It challenges with Bearer only, is not stored, and loads nothing."""
    agent.access = AccessPolicy(token=TOKEN)
    response = ask(agent, target, *BY_BROWSER, *headers)
    page = response.body.decode()
    assert (response.status, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f"<title>{title} · golo-agent</title>" in page
    assert ("refresh" in page) == (title == "Log out")
    style = re.findall("<style>(.*)</style>", page)[0].encode()
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in response.headers["Content-Security-Policy"]
    assert re.findall(r'(?:src|href)="([^"]+)"', page) in (["data:,"], ["data:,", "."])


def test_programs_get_text(agent: Agent) -> None:
    """A client that does not accept HTML gets the reason."""
    agent.access = AccessPolicy(token=TOKEN)
    assert ask(agent, b"GET /logout").body == b"you are logged out\n"
    assert ask(agent, b"HEAD /logout").status == 401


def test_other_requests_are_refused_as_everywhere(agent: Agent) -> None:
    """Another site cannot log out, another method is 401, and without a token nothing is there."""
    agent.access = AccessPolicy(token=TOKEN)
    assert ask(agent, b"GET /logout", PASSWORD, b"Sec-Fetch-Site: cross-site").status == 403
    refused = ask(agent, b"POST /logout", b"Content-Length: 9")
    assert (refused.status, "Basic" in refused.headers["WWW-Authenticate"]) == (401, True)
    agent.access = AccessPolicy(hosts=None)
    assert ask(agent, b"GET /logout", *BY_BROWSER).status == 404
