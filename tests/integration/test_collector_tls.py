"""Certificates and tokens of the collector and of the agent as its client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from peers.certificate import Authority
from peers.scripted_collector import Pusher, Server
from twisted.internet import reactor
from twisted.internet.ssl import Certificate, CertificateOptions, PrivateCertificate

from goloagent.outputs.sink import Disposition, Response
from goloagent.transport.credentials import TokenFile
from goloagent.transport.tls import Tls

TAKEN = Response(status=200)


class Demanding:
    """A server certificate that demands a client certificate of the same authority."""

    def __init__(self, certificate: PrivateCertificate, authority: Certificate) -> None:
        self._certificate = certificate
        self._authority = authority

    def options(self) -> CertificateOptions:
        """Return the server's TLS context."""
        return self._certificate.options(self._authority)


@pytest.fixture
def authority() -> Authority:
    """Create an unknown authority."""
    return Authority()


@pytest_twisted.async_yield_fixture
async def serve(authority: Authority) -> AsyncIterator[Callable[..., Server]]:
    """Return a function that runs a collector with a certificate for a host."""
    servers: list[Server] = []

    def start(host: str = "127.0.0.1", demanding: bool = False) -> Server:
        own: Any = PrivateCertificate.loadPEM(b"".join(authority.certify(host)))
        if demanding:
            own = Demanding(own, Certificate.loadPEM(authority.pem))
        servers.append(Server(reactor, own))
        return servers[-1]

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
def files(authority: Authority, tmp_path: Path) -> dict[str, Path]:
    """Write the authority's certificate, and a client's with its key."""
    certificate, key = authority.certify("agent")
    content = {"ca": authority.pem, "certificate": certificate, "key": key}
    for name, text in content.items():
        (tmp_path / name).write_bytes(text)
    return {name: tmp_path / name for name in content}


async def push(server: Server, **options: Any) -> Response:
    """Push once with a client with these options."""
    pusher = Pusher(reactor, **options)
    answer = await pusher.push(server.url)
    await pusher.close()
    return answer


async def test_a_private_authority(serve: Callable[..., Server], files: dict[str, Path]) -> None:
    """--collector-ca verifies certificates, each only for its host."""
    tls = Tls.load(False, files["ca"], None, None)
    assert await push(serve(), tls=tls) == TAKEN
    wrong = await push(serve("127.0.0.2"), tls=tls)
    assert wrong.disposition is Disposition.PAUSE
    assert "certificate" in str(wrong)
    unknown = await push(serve(), tls=Tls())
    assert unknown.disposition is Disposition.PAUSE
    assert "certificate verify failed" in str(unknown)


@pytest.mark.parametrize("insecure", [False, True])
async def test_a_client_certificate(
    serve: Callable[..., Server], files: dict[str, Path], insecure: bool
) -> None:
    """A collector that demands a client certificate gets it; without one nothing is delivered."""
    server = serve(demanding=True)
    ca = None if insecure else files["ca"]
    tls = Tls.load(insecure, ca, files["certificate"], files["key"])
    assert await push(server, tls=tls) == TAKEN
    refused = await push(server, tls=Tls.load(insecure, ca, None, None))
    assert refused.disposition is Disposition.PAUSE
    assert "certificate required" in str(refused)
    assert len(server.requests) == 1


async def test_the_check_finds_a_wrong_certificate(
    serve: Callable[..., Server], files: dict[str, Path]
) -> None:
    """The check at the start goes up to TLS, and sends no request."""
    server = serve()
    pusher = Pusher(reactor, tls=Tls())
    assert "certificate verify failed" in (await pusher.collector(server.url).check() or "")
    trusting = Pusher(reactor, tls=Tls.load(False, files["ca"], None, None))
    assert await trusting.collector(server.url).check() is None
    assert server.requests == []


async def test_a_changed_token_is_sent(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Each push has the token; a new token in the file is used without a restart."""
    server = serve()
    path = tmp_path / "token"
    path.write_text("first")
    pusher = Pusher(reactor, insecure=True, token=TokenFile(path))
    for token in ("first", "another"):
        path.write_text(token)
        assert await pusher.push(server.url) == TAKEN
        assert f"\r\nAuthorization: Bearer {token}\r\n".encode() in server.requests[-1]
    await pusher.close()
