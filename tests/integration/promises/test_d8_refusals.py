"""D8: every client with a large body receives an early refusal, with status and sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import attrs
import pytest
from peers.agent import Agent
from peers.slow_clients import Upload, repeating
from peers.uploaders import Uploader, available

BODY_BYTES = 50_000_000
TRIES = 3
# How often `make test` and CI repeat the uploads without a token and those that are too long.
REPEATS = [TRIES, pytest.param(20, marks=pytest.mark.full)]
MAX_GROWTH_BYTES = 32 * 2**20
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
FORM = "Content-Type: multipart/form-data; boundary=b"


@attrs.frozen
class Refusal:
    """A request, how often it is sent, and the expected status and sentence."""

    answer: str
    path: str = "/upload"
    headers: tuple[str, ...] = (FORM,)
    mode: str = "length"
    tries: int = TRIES


NO_TOKEN = "401 a valid bearer token is required"
TOO_LONG = "413 the request body is longer than 1048576 bytes"
NETWORK = "403 127.0.0.1 is not allowed to connect"
SITE = "403 requests on behalf of another web site are not allowed"
FEWER = "503 1 connections of loopback are open already"


@pytest.fixture(scope="module")
def uploaders(tmp_path_factory: pytest.TempPathFactory) -> list[Uploader]:
    """Build the clients."""
    found, missing = available(tmp_path_factory.mktemp("clients"))
    if missing:
        pytest.skip(f"D8: these clients cannot be run here: {', '.join(missing)}")
    return found


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Write a form with 50 MB that has no final boundary."""
    path = tmp_path_factory.mktemp("body") / "body"
    path.write_bytes(HEAD + b"\x7fELF" + bytes(BODY_BYTES))
    yield path
    path.unlink()


Check = Callable[..., Awaitable[None]]


@pytest.fixture
def check(idle_agent: Agent, uploaders: list[Uploader], body: Path) -> Check:
    """Return what sends the body by every client, and checks the answers."""

    async def send(*refusals: Refusal, base: str = "") -> None:
        base = base or f"http://127.0.0.1:{idle_agent.port}"
        before = idle_agent.resident_bytes
        for refusal in refusals:
            for uploader in uploaders:
                lines = await uploader.send(
                    base + refusal.path, body, refusal.mode, refusal.tries, refusal.headers
                )
                # Java hides the body of a 401, and shows the status line, which has the sentence.
                got = Counter(line.replace("401 Unauthorized: ", "401 ") for line in lines)
                print(f"D8: {uploader.name}, {refusal.mode}: {dict(got)}")
                assert got == {refusal.answer: refusal.tries}, uploader.name
        assert idle_agent.resident_bytes - before < MAX_GROWTH_BYTES

    return send


@pytest.mark.parametrize("tries", REPEATS)
@pytest.mark.parametrize("mode", ["length", "chunked"])
async def test_d8_without_the_token(idle_agent: Agent, check: Check, mode: str, tries: int) -> None:
    """Each upload without the token gets 401."""
    idle_agent.require_token()
    await idle_agent.start()
    await check(Refusal(NO_TOKEN, mode=mode, tries=tries))


@pytest.mark.parametrize("tries", REPEATS)
@pytest.mark.parametrize("mode", ["length", "chunked"])
async def test_d8_too_long(idle_agent: Agent, check: Check, mode: str, tries: int) -> None:
    """Each upload above the limit gets 413, by its length or while it is sent."""
    idle_agent.options["--max-upload"] = "1MiB"
    await idle_agent.start()
    await check(Refusal(TOO_LONG, mode=mode, tries=tries))


@pytest.mark.full
async def test_d8_bad_requests(idle_agent: Agent, check: Check) -> None:
    """A wrong path, method, type, site or length, and a body that is not an upload."""
    await idle_agent.start()
    await check(
        Refusal('404 "/nowhere" does not exist', "/nowhere"),
        Refusal('405 Method "POST" is not supported', "/health"),
        Refusal('405 Method "POST" is not supported', "/health", mode="chunked"),
        Refusal(
            "415 request Content-Type isn't multipart/form-data",
            headers=("Content-Type: text/plain",),
        ),
        Refusal(SITE, headers=(FORM, "Sec-Fetch-Site: cross-site")),
        Refusal("413 the request body is longer than 262144 bytes", "/queue"),
        Refusal("413 the request body is longer than 262144 bytes", "/queue", mode="chunked"),
        Refusal("400 the headers are longer than 16 KiB", headers=_long_headers()),
        Refusal("400 the upload is cut: its final boundary is missing"),
    )


def _long_headers() -> tuple[str, ...]:
    return (FORM, *[f"X-Long-{number}: {'x' * 6000}" for number in range(3)])


async def test_d8_from_another_network(idle_agent: Agent, check: Check) -> None:
    """A client outside of --allow-from gets 403."""
    idle_agent.options["--allow-from"] = "192.0.2.0/24"
    await idle_agent.start()
    await check(Refusal(NETWORK), Refusal(NETWORK, mode="chunked"))


async def test_d8_too_many_connections(idle_agent: Agent, check: Check) -> None:
    """An upload above the limit of connections gets 503."""
    idle_agent.options["--max-connections-per-peer"] = "1"
    await idle_agent.start()
    await idle_agent.close()  # its own connections
    holder = Upload(idle_agent.port, 2**28)
    try:
        with repeating(lambda: holder.send(100_000), pause_seconds=1):  # over the minimum rate
            await check(Refusal(FEWER), Refusal(FEWER, mode="chunked"))
    finally:
        holder.cut()


async def test_d8_on_a_full_disk(
    idle_agent: Agent, uploaders: list[Uploader], body: Path, tmpfs: Callable[[str], Path]
) -> None:
    """An upload that does not fit gets 507, by its length or while it is sent."""
    idle_agent.options["--state"] = str(tmpfs("size=20m") / "state")
    await idle_agent.start()
    url = f"http://127.0.0.1:{idle_agent.port}/upload"
    for uploader in uploaders:
        for mode in ("length", "chunked"):
            lines = await uploader.send(url, body, mode, TRIES, (FORM,))
            print(f"D8: {uploader.name}, {mode}: {lines[0]}")
            assert all(line.startswith("507 ") for line in lines), (uploader.name, lines)


@pytest.mark.full
async def test_d8_by_tls(idle_agent: Agent, check: Check) -> None:
    """The same applies to TLS, although it cannot close a connection in one direction."""
    idle_agent.require_token()
    port, _ = idle_agent.listen_with_tls()
    await idle_agent.start()
    base = f"https://127.0.0.1:{port}"
    await check(Refusal(NO_TOKEN), Refusal(NO_TOKEN, mode="chunked"), base=base)
