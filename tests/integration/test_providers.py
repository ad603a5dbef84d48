"""Providers that run a command, or use an HTTP server in place of DigitalOcean's."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from goloagent.client.agents import providers
from goloagent.client.agents.providers import find
from goloagent.client.errors import ClientError

PAGES = 3


class DigitalOcean(BaseHTTPRequestHandler):
    """Answers a page of droplets with the documented members, and refuses other tokens."""

    def do_GET(self) -> None:
        """Answer."""
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if self.headers["Authorization"] != "Bearer dop_v1_secret":
            self.send_error(401)
        elif query["tag_name"] == "moved":
            self.send_response(302)
            self.send_header("Location", "http://elsewhere.example/")
            self.end_headers()
        elif url.path != "/v2/droplets" or query["tag_name"] != "agent":
            self.send_error(404)
        else:
            self._send(json.dumps(page(int(query["page"]))).encode())

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Print nothing."""


def page(number: int) -> dict[str, object]:
    """Return a page with one droplet."""
    following = {"next": "https://api/v2/droplets?page=2"} if number < PAGES else {}
    return {
        "droplets": [
            {
                "id": number,
                "name": "agent",
                "networks": {
                    "v4": [
                        {"ip_address": "10.0.0.1", "netmask": "255.0.0.0", "type": "private"},
                        {"ip_address": f"203.0.113.{number}", "type": "public"},
                    ],
                    "v6": [{"ip_address": "2001:db8::1", "type": "public"}] if number == 2 else [],
                },
            }
        ],
        "links": {"pages": following} if number > 1 or following else {},
        "meta": {"total": PAGES},
    }


@pytest.fixture
def url() -> Iterator[str]:
    """Run the server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), DigitalOcean)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_all_pages(url: str) -> None:
    """Every page is read; an IPv6 address is preferred and has brackets."""
    environ = {"DO_TOKEN": "dop_v1_secret\n", "DIGITALOCEAN_API_URL": url}
    addresses = find("digitalocean", "agent", environ)
    assert [str(address) for address in addresses] == [
        "203.0.113.1:8081",
        "[2001:db8::1]:8081",
        "203.0.113.3:8081",
    ]


@pytest.mark.parametrize(
    ("token", "tag", "sentence"),
    [
        ("wrong", "agent", "answered 401 Unauthorized; check the token in DO_TOKEN"),
        ("dop_v1_secret", "other", "answered 404 Not Found; try again later"),
        ("dop_v1_secret", "moved", "answered 302 Found; try again later"),
    ],
)
def test_errors(url: str, token: str, tag: str, sentence: str) -> None:
    """An error has the server's answer and what to do; no redirect gets the token."""
    with pytest.raises(ClientError) as raised:
        find("digitalocean", tag, {"DO_TOKEN": token, "DIGITALOCEAN_API_URL": url})
    assert str(raised.value) == f"{url} {sentence}"


def test_no_server() -> None:
    """An unreachable API is an error with the reason."""
    environ = {"DO_TOKEN": "x", "DIGITALOCEAN_API_URL": "http://127.0.0.1:1"}
    with pytest.raises(ClientError, match=r"cannot list droplets from .*refused; check the"):
        find("digitalocean", "agent", environ)


def test_a_command() -> None:
    """It prints an address a line, blank lines and comments."""
    command = "exec:printf 'a\\n\\n  [::1]:1 # c\\n#d\\n'"
    assert [str(address) for address in find(command, "agent", {})] == ["a:8081", "[::1]:1"]


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("exit 3", '"exit 3" ended with exit code 3'),
        ("true", 'no agents in the output of "true"'),
        ("printf '\\377'", "is not text in UTF-8"),
        ("yes a", "has more than 1048576 bytes"),
    ],
)
def test_a_wrong_command(command: str, sentence: str) -> None:
    """An error says what the command did."""
    with pytest.raises(ClientError) as raised:
        find(f"exec:{command}", "agent", {})
    assert sentence in str(raised.value)


def test_a_command_has_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed with its children, which hold its output open."""
    monkeypatch.setattr(providers, "MAX_COMMAND_SECONDS", 0.1)
    with pytest.raises(ClientError, match=r"did not end within 0\.1 s"):
        find("exec:sleep 1000 & sleep 1000", "agent", {})
