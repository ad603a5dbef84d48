"""Every endpoint of --listen is listened on, or refused in one sentence."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from peers.certificate import Authority
from twisted.internet import reactor
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.web.resource import Resource
from twisted.web.server import Site

from goloagent.core.endpoint import Endpoint
from goloagent.host.listeners import close, listen
from goloagent.host.startup_error import StartupError

Listen = Callable[[str], Any]


@pytest_twisted.async_yield_fixture
async def listening() -> AsyncIterator[Listen]:
    """Return a function that listens on an endpoint and returns its address."""
    ports: list[Any] = []

    def start(description: str) -> Any:
        Endpoint.parse(description)
        ports.extend(listen(reactor, [description], Site(Resource())))
        return ports[-1].getHost()

    yield start
    await close(ports)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return a directory with a certificate, its key, another key and a file that is not PEM."""
    authority = Authority()
    certificate, key = authority.certify("localhost")
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "other.pem").write_bytes(authority.certify("other")[1])
    (tmp_path / "text.pem").write_text("text")
    return tmp_path


@pytest.mark.parametrize(
    ("description", "client"),
    [
        ("tcp:0:interface=127.0.0.1", "tcp:127.0.0.1:{port}"),
        ("tcp:0:127.0.0.1:9", "tcp:127.0.0.1:{port}"),
        ("tcp:port=0:interface=localhost", "tcp:127.0.0.1:{port}"),
        ("tcp:0", "tcp:127.0.0.1:{port}"),
        (r"tcp:0:interface=\:\:1", r"tcp:\:\:1:{port}"),
        (r"tcp6:0:interface=\:\:1", r"tcp:\:\:1:{port}"),
        ("tcp6:0", r"tcp:\:\:1:{port}"),
        (
            "ssl:0:interface=127.0.0.1:privateKey={files}/key.pem:certKey={files}/cert.pem",
            "tcp:127.0.0.1:{port}",
        ),
        ("unix:{files}/socket:mode=600", "unix:{files}/socket"),
        (r"unix:{files}/a\:b\=c:lockfile=0", r"unix:{files}/a\:b\=c"),
    ],
)
async def test_accepted_endpoints(
    listening: Listen, files: Path, description: str, client: str
) -> None:
    """A client connects to each kind of listener."""
    address = listening(description.format(files=files))
    place = client.format(port=getattr(address, "port", None), files=files)
    connection = await clientFromString(reactor, place).connect(Factory.forProtocol(Protocol))
    connection.transport.abortConnection()


@pytest.mark.parametrize(
    ("description", "says"),
    [
        ("ssl:0:privateKey={files}/none:certKey={files}/cert.pem", "{files}/none: No such file"),
        ("ssl:0:privateKey={files}/text.pem:certKey={files}/cert.pem", "key or certificate is"),
        ("ssl:0:privateKey={files}/key.pem:certKey={files}/text.pem", "key or certificate is"),
        ("ssl:0:privateKey={files}/other.pem:certKey={files}/cert.pem", "keys do not match"),
        ("unix:{files}/none/socket", "No such file or directory"),
        ("tcp:0:interface=192.0.2.1", "Cannot assign requested address"),
        ("systemd:domain=INET:index=0", "systemd passes no such socket"),
        ("systemd:domain=INET:name=http", "systemd passes no such socket"),
    ],
)
def test_unavailable_endpoints(listening: Listen, files: Path, description: str, says: str) -> None:
    """The sentence has the option, the reason, and the file if one is the reason."""
    with pytest.raises(StartupError, match=r"^--listen ") as wrong:
        listening(description.format(files=files))
    assert says.format(files=files) in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_a_port_that_is_taken(listening: Listen) -> None:
    """The sentence says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=r"already in use; stop the other process or"):
            listening(f"tcp:{port}:interface=127.0.0.1")
