"""The net/rpc client and server against Go's, over loopback."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from golang import build

from goloagent.netrpc import Client, Server

SOURCE = Path(__file__).parent.parent / "loadtests" / "netrpc_peer"
TIMEOUT_SECONDS = 60.0

SHAPES = re.findall(
    r"^func \(\w* ?\*Server\) (?!Fail|Gather)(\w+)\(",
    (SOURCE / "server.go").read_text(encoding="utf-8"),
    re.MULTILINE,
)

Receive = Callable[[socket.socket], bytes]


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the peer program."""
    return build(SOURCE, tmp_path_factory.mktemp("netrpc") / "netrpc_peer")


@pytest.fixture(scope="module")
def go_server(peer: Path) -> Iterator[tuple[str, int]]:
    """Run Go's server; return its address."""
    with subprocess.Popen(
        [peer, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        host, port = process.stdout.readline().strip().split(":")
        yield host, int(port)
        process.communicate()
    assert process.returncode == 0


@pytest.fixture
def connection(go_server: tuple[str, int]) -> Iterator[socket.socket]:
    """Return a connection to Go's server."""
    with socket.create_connection(go_server, timeout=TIMEOUT_SECONDS) as connected:
        yield connected


def chunked(size: int) -> Receive:
    """Receive at most `size` bytes; fail at the end of the connection."""

    def receive(connection: socket.socket) -> bytes:
        data = connection.recv(size)
        assert data, "Go closed the connection"
        return data

    return receive


def finish(client: Client, connection: socket.socket, receive: Receive) -> tuple[int, list[str]]:
    """Receive until no call is outstanding; return the number of successes, and the errors."""
    ok, errors = 0, []
    while client.in_flight:
        replies = client.receive(receive(connection))
        ok += replies.ok
        errors += replies.errors
    return ok, errors


def test_the_peer_has_many_reply_types() -> None:
    """The list of methods from the Go source is not empty."""
    assert len(SHAPES) >= 24
    assert "Everything" in SHAPES


@pytest.mark.parametrize("chunk_bytes", [1, 65536])
@pytest.mark.parametrize("method", SHAPES)
def test_a_reply_of_any_type(connection: socket.socket, method: str, chunk_bytes: int) -> None:
    """A call succeeds for any reply type of a Go method, and so does the next one."""
    client, receive = Client(), chunked(chunk_bytes)
    connection.sendall(client.calls(f"Server.{method}", 1))
    assert finish(client, connection, receive) == (1, [])
    connection.sendall(client.calls(f"Server.{method}", 2) + client.calls("Server.Run", 1))
    assert finish(client, connection, receive) == (3, [])


def test_replies_of_all_types_share_a_connection(connection: socket.socket) -> None:
    """Types learned from one reply serve the next, in any order of calls."""
    client = Client()
    methods = SHAPES + SHAPES[::-1]
    connection.sendall(b"".join(client.calls(f"Server.{method}", 3) for method in methods))
    assert finish(client, connection, chunked(1000)) == (3 * len(methods), [])


def test_errors_of_go(connection: socket.socket) -> None:
    """Errors of a method, a missing method and a missing service have Go's texts."""
    client = Client()
    for method in ("Server.Fail", "Server.Missing", "Nope.Run", "Plain", "Server.FailLong"):
        connection.sendall(client.calls(method, 1))
        ok, [error] = finish(client, connection, chunked(65536))
        assert ok == 0
        assert error == {
            "Server.Fail": "failed: é",
            "Server.Missing": "rpc: can't find method Server.Missing",
            "Nope.Run": "rpc: can't find service Nope.Run",
            "Plain": "rpc: service/method request ill-formed: Plain",
            "Server.FailLong": ("long " * 1000)[:1024],
        }.get(method)
    connection.sendall(client.calls("Server.Run", 1))
    assert finish(client, connection, chunked(65536)) == (1, [])


@pytest.mark.parametrize("users", [1, 25, 1024, 10_000])
def test_many_calls_at_once(connection: socket.socket, users: int) -> None:
    """A closed loop of any number of users on one connection gets a response to each call."""
    client = Client()
    connection.sendall(client.calls("Server.Run", users))
    made, answered = users, 0
    while client.in_flight:
        replies = client.receive(chunked(65536)(connection))
        assert replies.errors == ()
        answered += replies.ok
        again = min(replies.ok, 4 * users + 1000 - made)
        connection.sendall(client.calls("Server.Run", again))
        made += again
    assert answered == made == 4 * users + 1000


def test_replies_out_of_order(connection: socket.socket) -> None:
    """Responses of Go in any order are each assigned once."""
    client = Client()
    connection.sendall(client.calls("Server.Gather", 200))
    assert finish(client, connection, chunked(65536)) == (200, [])


@pytest.mark.parametrize("chunk_bytes", [1, 65536])
@pytest.mark.parametrize("at_once", [1, 1000])
def test_go_client_calls_our_server(peer: Path, chunk_bytes: int, at_once: int) -> None:
    """Go's client gets responses from our server for any arguments."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        subprocess.Popen(
            [peer, "call", f"127.0.0.1:{listener.getsockname()[1]}", str(at_once)],
            stdout=subprocess.PIPE,
        ) as go,
    ):
        listener.settimeout(TIMEOUT_SECONDS)
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(TIMEOUT_SECONDS)
            server = Server()
            while data := accepted.recv(chunk_bytes):
                replies = (
                    server.reply(
                        call, None if call.method == "Server.Run" else f"no: {call.method}"
                    )
                    for call in server.receive(data)
                )
                accepted.sendall(b"".join(replies))
        printed, _ = go.communicate()
    assert go.returncode == 0
    outcomes = [json.loads(line) for line in printed.splitlines()]
    failed = {line["method"]: line["error"] for line in outcomes if line["error"]}
    assert failed == {
        method: f"no: {method}" for method in ("Server.Fail", "Server.Missing", "Nope.Run", "Plain")
    }
    assert len(outcomes) == 15
