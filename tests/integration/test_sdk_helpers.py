"""The SDK's helpers with the real requests, httpx and aiohttp: served is reported."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

import aiohttp
import attrs
import httpx
import pytest
import requests
from aiohttp import web
from peers.lines import is_result
from peers.ports import free_port
from peers.routes import BODY, Routes, serving_routes

import goloagent
from goloagent import sdk
from goloagent.sdk import aiohttp as reporting_aiohttp
from goloagent.sdk import httpx as reporting_httpx
from goloagent.sdk import journey
from goloagent.sdk import requests as reporting_requests


@attrs.define
class Lines:
    """A stdout that keeps its lines."""

    results: list[dict[str, Any]] = attrs.Factory(list)

    def write(self, line: bytes) -> None:
        """Store a result."""
        assert is_result(line[:-1]), line
        self.results.append(json.loads(line))


class Library(Protocol):
    """A library under test; each call uses a client of its own."""

    timeout: float
    errors: tuple[type[Exception], ...]

    def gets(self, urls: list[str], method: str = "GET", stream: bool = False) -> list[int]:
        """Make requests one after the other; return the statuses."""

    def parallel(self, urls: list[str]) -> list[int]:
        """Make requests at once; return the statuses."""


class Requests:
    """The package requests."""

    timeout = 60.0
    errors = (requests.RequestException,)

    def gets(self, urls: list[str], method: str = "GET", stream: bool = False) -> list[int]:
        with reporting_requests.Session() as session:
            return [self._one(session, url, method, stream) for url in urls]

    def _one(self, session: requests.Session, url: str, method: str, stream: bool) -> int:
        more: dict[str, Any] = {"stream": stream, "timeout": self.timeout}
        with session.request(method, url, **more) as response:
            if stream:
                next(response.iter_content(100))
            return response.status_code

    def parallel(self, urls: list[str]) -> list[int]:
        with ThreadPoolExecutor(len(urls)) as pool:
            return [status for [status] in pool.map(self.gets, [[url] for url in urls])]


class Httpx:
    """The package httpx, in threads."""

    timeout = 60.0
    errors = (httpx.HTTPError,)

    def __init__(self) -> None:
        self.make = lambda: reporting_httpx.Client(
            timeout=self.timeout, follow_redirects=True, trust_env=False, verify=False
        )

    def gets(self, urls: list[str], method: str = "GET", stream: bool = False) -> list[int]:
        with self.make() as client:
            return [self._one(client, url, method, stream) for url in urls]

    def _one(self, client: httpx.Client, url: str, method: str, stream: bool) -> int:
        if not stream:
            return client.request(method, url).status_code
        with client.stream(method, url) as response:
            next(response.iter_bytes(100))
            return response.status_code

    def parallel(self, urls: list[str]) -> list[int]:
        with self.make() as client, ThreadPoolExecutor(len(urls)) as pool:
            return list(pool.map(lambda url: self._one(client, url, "GET", False), urls))


class AsyncHttpx:
    """The package httpx, in tasks."""

    timeout = 60.0
    errors = (httpx.HTTPError,)

    def gets(self, urls: list[str], method: str = "GET", stream: bool = False) -> list[int]:
        async def run() -> list[int]:
            async with self._make() as client:
                return [await self._one(client, url, method, stream) for url in urls]

        return asyncio.run(run())

    def _make(self) -> httpx.AsyncClient:
        return reporting_httpx.AsyncClient(
            timeout=self.timeout, follow_redirects=True, trust_env=False, verify=False
        )

    async def _one(self, client: httpx.AsyncClient, url: str, method: str, stream: bool) -> int:
        if not stream:
            return (await client.request(method, url)).status_code
        async with client.stream(method, url) as response:
            await anext(response.aiter_bytes(100))
            return response.status_code

    def parallel(self, urls: list[str]) -> list[int]:
        async def run() -> list[int]:
            async with self._make() as client:
                return await asyncio.gather(*(self._one(client, url, "GET", False) for url in urls))

        return asyncio.run(run())


class Aiohttp:
    """The package aiohttp."""

    timeout = 60.0
    errors = (aiohttp.ClientError, TimeoutError, asyncio.TimeoutError)

    def gets(self, urls: list[str], method: str = "GET", stream: bool = False) -> list[int]:
        async def run() -> list[int]:
            async with self._make() as session:
                return [await self._one(session, url, method, stream) for url in urls]

        return asyncio.run(run())

    def _make(self) -> aiohttp.ClientSession:
        return reporting_aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(self.timeout),
            cookie_jar=aiohttp.CookieJar(unsafe=True),  # of an address without a name
        )

    async def _one(
        self, session: aiohttp.ClientSession, url: str, method: str, stream: bool
    ) -> int:
        more: dict[str, Any] = {"ssl": ssl.create_default_context()} if "https" in url else {}
        async with session.request(method, url, **more) as response:
            await (response.content.read(100) if stream else response.read())
            return response.status

    def parallel(self, urls: list[str]) -> list[int]:
        async def run() -> list[int]:
            async with self._make() as session:
                return await asyncio.gather(
                    *(self._one(session, url, "GET", False) for url in urls)
                )

        return asyncio.run(run())


LIBRARIES = [Requests(), Httpx(), AsyncHttpx(), Aiohttp()]


@pytest.fixture(params=LIBRARIES, ids=lambda library: type(library).__name__)
def library(request: pytest.FixtureRequest) -> Any:
    """Each library."""
    return request.param


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    """Replace stdout."""
    lines = Lines()
    monkeypatch.setattr(journey, "STDOUT", lines)
    return lines


@pytest.fixture
def target() -> Iterator[Routes]:
    """Run the target."""
    with serving_routes() as target:
        yield target


def reported(lines: Lines, target: Routes) -> list[tuple[str, str]]:
    """Return the methods and paths of the results."""
    return [(one["method"], one["url"].removeprefix(target.url)) for one in lines.results]


def test_served_is_reported(library: Library, lines: Lines, target: Routes) -> None:
    """Each request is a result with its method, URL, status, size and duration."""
    with sdk.named("/named"):
        library.gets([f"{target.url}/"])
    assert library.gets([f"{target.url}/a?b=c", f"{target.url}/status/500"]) == [200, 500]
    library.gets([f"{target.url}/a#part"], "POST")
    assert target.served == [
        ("GET", "/"), ("GET", "/a?b=c"), ("GET", "/status/500"), ("POST", "/a"),
    ]  # fmt: skip
    assert reported(lines, target) == [("GET", "/named"), *target.served[1:]]
    assert [one["status"] for one in lines.results] == [200, 200, 500, 200]
    assert [one["size"] for one in lines.results] == [len(BODY), len(BODY), 4, len(BODY)]
    assert all(one["error"] is None and one["duration"] > 0 for one in lines.results)


def test_bodies(library: Library, lines: Lines, target: Routes) -> None:
    """Chunked, compressed and absent bodies have the size that the network has carried."""
    library.gets([f"{target.url}/chunked", f"{target.url}/gzip"])
    library.gets([f"{target.url}/x"], "HEAD")
    assert reported(lines, target) == target.served
    sizes = [len(BODY), len(gzip.compress(BODY, mtime=0)), 0]
    assert [one["size"] for one in lines.results] == sizes
    assert [one["error"] for one in lines.results] == [None] * 3


def test_redirects(library: Library, lines: Lines, target: Routes) -> None:
    """Each is a result of its own, because the target served it."""
    assert library.gets([f"{target.url}/redirect/2"]) == [200]
    assert [path for _, path in target.served] == ["/redirect/2", "/redirect/1", "/end"]
    assert reported(lines, target) == target.served
    assert [one["status"] for one in lines.results] == [302, 302, 200]
    assert [one["error"] for one in lines.results] == [None] * 3


def test_redirects_without_end(library: Library, lines: Lines, target: Routes) -> None:
    """The last one that was served is the last one that is reported."""
    with pytest.raises(library.errors):
        library.gets([f"{target.url}/redirect/-1"])
    assert reported(lines, target) == target.served
    assert {one["status"] for one in lines.results} == {302}


def test_a_redirect_to_nowhere(library: Library, lines: Lines, target: Routes) -> None:
    """The request that fails is a result too, with its own URL."""
    with pytest.raises(library.errors):
        library.gets([f"{target.url}/elsewhere"])
    first, second = lines.results
    assert (first["status"], first["error"]) == (302, None)
    assert (second["status"], second["url"]) == (0, "http://127.0.0.1:1/refused")
    assert second["error"]


def test_connection_refused(library: Library, lines: Lines) -> None:
    """It is reported with status 0, and raised."""
    url = f"http://127.0.0.1:{free_port()}/"
    with pytest.raises(library.errors):
        library.gets([url])
    [one] = lines.results
    assert (one["method"], one["url"], one["status"], one["size"]) == ("GET", url, 0, -1)
    assert "Connect" in one["error"]


def test_tls(library: Library, lines: Lines, target: Routes) -> None:
    """So is a server that does not speak TLS."""
    url = target.url.replace("http:", "https:")
    with pytest.raises(library.errors):
        library.gets([f"{url}/"])
    [one] = lines.results
    assert (one["url"], one["status"]) == (f"{url}/", 0)
    assert "SSL" in one["error"]


def test_timeouts(library: Library, lines: Lines, target: Routes) -> None:
    """Before the response the status is 0; within the body it is that of the response."""
    with mock.patch.object(library, "timeout", 1):
        for path in ("/slow", "/stall"):
            with pytest.raises(library.errors):
                library.gets([target.url + path])
    assert reported(lines, target) == target.served
    assert [one["status"] for one in lines.results] == [0, 200]
    assert all("time" in one["error"].lower() for one in lines.results)
    # urllib3 has not returned the half that it has read.
    assert lines.results[1]["size"] == (0 if isinstance(library, Requests) else 50)


def test_a_body_that_is_cut(library: Library, lines: Lines, target: Routes) -> None:
    """The error is that of the body, with the status of the response."""
    with pytest.raises(library.errors):
        library.gets([f"{target.url}/cut"])
    [one] = lines.results
    assert (one["status"], one["size"]) == (200, 50)
    assert one["error"]


def test_a_body_that_is_not_read(library: Library, lines: Lines, target: Routes) -> None:
    """It is reported when it is closed."""
    assert library.gets([f"{target.url}/a", f"{target.url}/b"], stream=True) == [200, 200]
    assert reported(lines, target) == target.served
    assert [one["error"] for one in lines.results] == [None] * 2


def test_cookies(library: Library, lines: Lines, target: Routes) -> None:
    """A client keeps them, and another one does not have them."""
    library.gets([f"{target.url}/cookie"] * 2)
    library.gets([f"{target.url}/cookie"])
    assert target.cookies == [None, "session=1", None]
    assert len(lines.results) == 3


def test_at_once(library: Library, lines: Lines, target: Routes) -> None:
    """Concurrent requests are reported once each."""
    urls = [f"{target.url}/{number}" for number in range(40)]
    assert library.parallel(urls) == [200] * 40
    assert sorted(reported(lines, target)) == sorted(target.served)
    assert {one["size"] for one in lines.results} == {len(BODY)}


def test_within_a_journey(library: Library, lines: Lines, target: Routes) -> None:
    """The results have its sequenceID, and a failed request is not reported as a journey too."""
    with suppress(*library.errors), journey.journey("checkout"):
        library.gets([f"{target.url}/a", f"{target.url}/cut"])
    assert reported(lines, target) == [("GET", "/a"), ("GET", "/cut")]
    assert len({one["sequenceID"] for one in lines.results} - {""}) == 1


def test_a_status_that_aiohttp_raises(lines: Lines, target: Routes) -> None:
    """The result has the status and the error; it was served."""

    async def run() -> None:
        async with reporting_aiohttp.ClientSession(raise_for_status=True) as session:
            await session.get(f"{target.url}/status/503")

    with pytest.raises(aiohttp.ClientResponseError):
        asyncio.run(run())
    [one] = lines.results
    assert (one["status"], one["url"]) == (503, f"{target.url}/status/503")
    assert "503" in one["error"]


def test_transports_of_the_caller(lines: Lines) -> None:
    """Httpx's `transport` and `mounts` are reported too, and so is an adapter of requests."""
    answer = httpx.MockTransport(lambda _: httpx.Response(201, content=b"hello"))
    with reporting_httpx.Client(mounts={"http://": answer}, trust_env=False) as client:
        client.get("http://mounted/")

    async def run() -> None:
        async with reporting_httpx.AsyncClient(transport=answer) as client:
            await client.get("http://given/")

    asyncio.run(run())
    session = reporting_requests.Session()

    class Adapter(requests.adapters.BaseAdapter):
        def send(self, *_: Any, **__: Any) -> requests.Response:
            response = requests.Response()
            response.status_code, response.raw = 201, io.BytesIO(b"hello")
            return response

        def close(self) -> None: ...

    session.mount("mock:", Adapter())
    session.get("mock://adapter/")
    assert [one["url"] for one in lines.results] == [
        "http://mounted/", "http://given/", "mock://adapter/",
    ]  # fmt: skip
    assert {(one["status"], one["size"]) for one in lines.results} == {(201, 5)}


def test_websockets(lines: Lines) -> None:
    """Aiohttp's are one result, of the handshake."""

    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(await socket.receive_str())
        return socket

    async def run() -> None:
        application = web.Application()
        application.router.add_get("/", echo)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        async with (
            reporting_aiohttp.ClientSession() as session,
            session.ws_connect(f"http://127.0.0.1:{port}/") as socket,
        ):
            await socket.send_str("hello")
            assert await socket.receive_str() == "hello"
        await runner.cleanup()

    port = free_port()
    asyncio.run(run())
    [one] = lines.results
    assert (one["status"], one["error"]) == (101, None)


def test_a_session_that_is_left_open(target: Routes, tmp_path: Path) -> None:
    """`serve` closes it, so that aiohttp prints no warning."""
    script = (
        "import asyncio, os, signal\n"
        "from goloagent.sdk import server\n"
        "from goloagent.sdk.aiohttp import ClientSession\n"
        "async def main():\n"
        "    global session\n"
        "    session = ClientSession()\n"
        f"    await (await session.get('{target.url}/')).read()\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "runner = server.InTasks(main)\n"
        "class Once(asyncio.Protocol): ...\n"
        "async def start(host, port, runner):\n"
        "    runner.start(lambda error: None)\n"
        "    await server._serve(host, port, runner)\n"
        f"asyncio.run(start('127.0.0.1', {free_port()}, runner))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(Path(goloagent.__file__).parents[1])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["status"] == 200


@pytest.mark.parametrize("name", ["requests", "httpx", "aiohttp"])
def test_a_missing_library(name: str) -> None:
    """The error is one sentence with what to do."""
    script = f"import sys; sys.modules['{name}'] = None; import goloagent.sdk.{name}"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(Path(goloagent.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.endswith(
        f"ModuleNotFoundError: goloagent.sdk.{name} needs the package {name}: add it with "
        f"`golo pack SCRIPT --with {name}`, or install it for the Python of the load test\n"
    )
