"""An output over HTTP reaches a real server as the members of its setting say."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from peers.certificate import Authority
from peers.http_backend import HttpBackend
from peers.proxy import Proxy
from twisted.internet import reactor
from twisted.internet.ssl import Certificate, PrivateCertificate

from goloagent.concurrency.threads import Pool
from goloagent.core.output_parser import parse_option
from goloagent.core.output_setting import SettingError
from goloagent.outputs.http import HttpPoster, make_poster
from goloagent.outputs.http_body import MAX_ANSWER_BYTES
from goloagent.outputs.registry import SinkContext
from goloagent.outputs.sink import Disposition, Response
from goloagent.transport.dialer import UntrustedPeer

PATH = "/write?db=golo&precision=ns"
BODY = b"golo_results,job=1 duration=0.25 1\n" * 1_000

Serve = Callable[..., HttpBackend]
Make = Callable[..., HttpPoster]


class Demanding:
    """A server's certificate that demands a client certificate of an authority."""

    def __init__(self, pem: bytes, authority: bytes) -> None:
        self._own = PrivateCertificate.loadPEM(pem)
        self._authority = Certificate.loadPEM(authority)

    def options(self) -> Any:
        """Return the context of the server."""
        return self._own.options(self._authority)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the proxies of the environment of the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest_twisted.async_yield_fixture
async def serve() -> AsyncIterator[Serve]:
    """Return a function that runs a backend."""
    backends: list[HttpBackend] = []

    def start(certificate: Any = None) -> HttpBackend:
        backends.append(HttpBackend(certificate))
        return backends[-1]

    yield start
    for backend in backends:
        await backend.close()


@pytest_twisted.async_yield_fixture
async def make() -> AsyncIterator[Make]:
    """Return a function that makes the poster of an output with some members."""
    posters: list[HttpPoster] = []

    def poster(url: str, members: str = "", check_peer: Any = None, **options: Any) -> HttpPoster:
        setting = parse_option(f"db=influx+{url}?database=golo&{members}".rstrip("&"))
        context = SinkContext(reactor, Pool(reactor, "db", 1), check_peer or trust)
        posters.append(make_poster(setting, context, **options))
        return posters[-1]

    yield poster
    for one in posters:
        await one.close()


@pytest.fixture
def authority() -> Authority:
    """Create an unknown authority."""
    return Authority()


async def trust(*_: object) -> None:
    """Accept any peer."""


def post(poster: HttpPoster, body: bytes = BODY, **headers: str) -> Awaitable[Response]:
    """Post a body."""
    return poster.post(PATH, body, "text/plain", headers)


async def test_a_request_has_path_type_and_headers(serve: Serve, make: Make) -> None:
    """The path has its query, and the headers of the sink are sent."""
    backend = serve()
    response = await post(make(backend.url, "gzip=no"), traceparent="00-1-2-01")
    assert (response.status, response.disposition) == (204, Disposition.DELIVERED)
    [request] = backend.requests
    assert (request.path, request.raw) == (PATH, BODY)
    assert request.headers["host"] == f"127.0.0.1:{backend.port}"
    assert request.headers["content-type"] == "text/plain"
    assert request.headers["traceparent"] == "00-1-2-01"
    assert "authorization" not in request.headers


async def test_a_password_from_a_file(serve: Serve, make: Make, tmp_path: Path) -> None:
    """Basic authentication follows changes of its file; an invalid change changes nothing."""
    backend, path = serve(), tmp_path / "password"
    path.write_text("golo:pass word\n")
    poster = make(backend.url, f"password-file={path}")
    await post(poster)
    for content in ("golo:p\N{LATIN SMALL LETTER U WITH DIAERESIS}:x", "no password"):
        path.write_text(content, "utf-8")
        await post(poster)
    assert [request.headers["authorization"] for request in backend.requests] == [
        "Basic Z29sbzpwYXNzIHdvcmQ=",
        "Basic Z29sbzpww7w6eA==",
        "Basic Z29sbzpww7w6eA==",
    ]


async def test_a_token_from_a_file(serve: Serve, make: Make, tmp_path: Path) -> None:
    """A token is sent with the scheme that the backend knows, and follows its file."""
    backend, path = serve(), tmp_path / "token"
    path.write_text("first\n")
    bearer = make(backend.url, f"token-file={path}")
    token = make(backend.url, f"token-file={path}", token_scheme="Token")
    await post(bearer)
    path.write_text("second")
    await post(bearer)
    await post(token)
    sent = [request.headers["authorization"] for request in backend.requests]
    assert sent == ["Bearer first", "Bearer second", "Token second"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ("token-file={}/none", "token-file {}/none: No such file or directory"),
        ("password-file={}/empty", "password-file {}/empty: it is empty"),
        ("password-file={}/word", "password-file {}/word: it must be one line with user:password"),
    ],
)
def test_a_file_that_is_unusable(make: Make, tmp_path: Path, members: str, message: str) -> None:
    """A file that cannot be used is an error that names its member and its path."""
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "word").write_text("word")
    with pytest.raises(SettingError) as caught:
        make("http://127.0.0.1:1", members.format(tmp_path))
    assert message.format(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("members", "default", "compressed"),
    [("", True, True), ("", False, False), ("gzip=no", True, False), ("gzip=yes", False, True)],
)
async def test_bodies_are_compressed(
    serve: Serve, make: Make, members: str, default: bool, compressed: bool
) -> None:
    """The setting decides, else the sink; the same body has the same bytes again."""
    backend = serve()
    poster = make(backend.url, members, gzip=default)
    await post(poster)
    await post(poster)
    first, second = backend.requests
    assert first.body == BODY
    assert first.raw == second.raw
    assert (first.headers.get("content-encoding") == "gzip") is compressed
    assert int(first.headers["content-length"]) == len(first.raw)
    assert (len(first.raw) < len(BODY) / 10) is compressed


async def test_an_encoded_body_is_not_compressed_again(serve: Serve, make: Make) -> None:
    """A body that the sink has encoded is sent unchanged."""
    backend = serve()
    encoded = zlib.compress(BODY)
    await post(make(backend.url, "gzip=yes"), encoded, **{"Content-Encoding": "deflate"})
    [request] = backend.requests
    assert (request.headers["content-encoding"], request.raw) == ("deflate", encoded)


async def test_a_client_certificate(
    serve: Serve, make: Make, authority: Authority, tmp_path: Path
) -> None:
    """A backend that demands a client certificate gets it; without one the output holds."""
    certificate, key = authority.certify("agent")
    for name, content in {"ca": authority.pem, "cert": certificate, "key": key}.items():
        (tmp_path / name).write_bytes(content)
    backend = serve(Demanding(b"".join(authority.certify("127.0.0.1")), authority.pem))
    ca, own = f"ca={tmp_path}/ca", f"cert={tmp_path}/cert&key={tmp_path}/key"
    for members in (f"{ca}&{own}", f"insecure=yes&{own}"):
        response = await post(make(backend.url, members))
        assert response.disposition is Disposition.DELIVERED
    for members, words in {ca: "certificate required", own: "certificate verify failed"}.items():
        refused = await post(make(backend.url, members))
        assert refused.disposition is Disposition.PAUSE
        assert words in str(refused)
    assert len(backend.requests) == 2


async def test_a_proxy_of_the_environment(
    serve: Serve, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY gets the absolute URI with its password, except for the hosts of NO_PROXY."""
    backend, proxy = serve(), Proxy(reactor)
    monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@{proxy.address}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    url = f"http://db.example:{backend.port}"
    assert (await post(make(url))).disposition is Disposition.DELIVERED
    [head] = proxy.requests
    assert head[0] == f"POST {url}{PATH} HTTP/1.1"
    assert "Proxy-Authorization: Basic bWU6c2VjcmV0" in head
    assert (await post(make(backend.url))).disposition is Disposition.DELIVERED
    assert len(proxy.requests) == 1
    assert "proxy-authorization" not in backend.requests[1].headers
    await proxy.close()


async def test_a_proxy_for_tls(
    serve: Serve, make: Make, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTPS_PROXY gets a CONNECT, and the backend's certificate is checked through the tunnel."""
    (tmp_path / "ca").write_bytes(authority.pem)
    backend = serve(PrivateCertificate.loadPEM(b"".join(authority.certify("db.example"))))
    proxy = Proxy(reactor)
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
    url = f"https://db.example:{backend.port}"
    assert (await post(make(url, f"ca={tmp_path}/ca"))).disposition is Disposition.DELIVERED
    [head] = proxy.requests
    assert head[0] == f"CONNECT db.example:{backend.port} HTTP/1.1"
    assert (await post(make(url))).disposition is Disposition.PAUSE
    assert len(backend.requests) == 1
    await proxy.close()


def test_a_proxy_that_is_unusable(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unusable proxy is an error at the start."""
    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:1")
    with pytest.raises(SettingError, match="HTTP_PROXY"):
        make("http://db.example")


async def test_a_backend_without_an_answer(serve: Serve, make: Make) -> None:
    """The time-out of the setting ends a request, which is repeated later."""
    backend = serve()
    backend.silent = True
    response = await post(make(backend.url, "timeout=0.5s"))
    assert (response.disposition, response.timed_out) == (Disposition.RETRY, True)
    assert "within 0.5 s" in str(response)


async def test_redirects_and_cookies(serve: Serve, make: Make) -> None:
    """A redirect is not followed, and a cookie is not sent back."""
    backend = serve()
    backend.status, backend.headers = 307, {"Location": "/else", "Set-Cookie": "a=b"}
    poster = make(backend.url)
    for _ in range(2):
        response = await post(poster)
        assert (response.status, response.disposition) == (307, Disposition.PAUSE)
    assert [request.path for request in backend.requests] == [PATH] * 2
    assert "cookie" not in backend.requests[1].headers


async def test_a_busy_backend_says_when(serve: Serve, make: Make) -> None:
    """Retry-After is read, in seconds and as a date."""
    backend = serve()
    backend.status = 429
    poster, waits = make(backend.url), []
    for after in ("7", "Fri, 02 Jan 2026 03:05:05 GMT"):
        backend.headers = {"Retry-After": after, "Date": "Fri, 02 Jan 2026 03:04:05 GMT"}
        response = await post(poster)
        assert response.disposition is Disposition.RETRY
        waits.append(response.retry_after)
    assert waits == [7, 60]


async def test_only_the_beginning_of_an_answer_is_read(serve: Serve, make: Make) -> None:
    """64 KiB of an answer are read, and the next request works."""
    backend = serve()
    backend.status, backend.text = 400, b"x" * 10_000_000
    poster = make(backend.url)
    response = await post(poster)
    assert (response.status, len(response.body)) == (400, MAX_ANSWER_BYTES)
    backend.status = 204
    assert (await post(poster)).disposition is Disposition.DELIVERED


async def test_a_load_test_in_the_place_of_the_backend(serve: Serve, make: Make) -> None:
    """A peer that is refused receives nothing, and the request is repeated later."""

    async def refuse(*_: object) -> None:
        raise UntrustedPeer(string="a process of the load test listens there")

    backend = serve()
    response = await post(make(backend.url, check_peer=refuse))
    assert response.disposition is Disposition.RETRY
    assert "load test" in str(response)
    assert backend.requests == []
