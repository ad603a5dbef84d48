"""D8: an early refusal is heard, status and sentence, by every common client with a large body."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import attrs
import pytest
import pytest_twisted
from peers.agent import Agent
from peers.certificate import self_signed
from peers.crowd import Upload, repeating
from peers.ports import free_port
from peers.uploaders import Uploader, available

BODY_BYTES = 50_000_000
TRIES = 20
FEW = 3
MOST_BYTES = 32 * 2**20
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
FORM = "Content-Type: multipart/form-data; boundary=b"
TOKEN = "correct-horse"


@attrs.frozen
class Refusal:
    """A kind of refusal: what the client sends, how often, and what it must be told."""

    heard: str
    path: str = "/upload"
    headers: tuple[str, ...] = (FORM,)
    mode: str = "length"
    tries: int = FEW


NO_TOKEN = "401 a valid bearer token is required"
TOO_LONG = "413 the request body is longer than 1048576 bytes"
NETWORK = "403 127.0.0.1 is not allowed to connect"
SITE = "403 requests on behalf of another web site are not allowed"
FEWER = "503 1 connections of loopback are open already"


@pytest.fixture(scope="module")
def uploaders(tmp_path_factory: pytest.TempPathFactory) -> list[Uploader]:
    """Return every client."""
    found, missing = available(tmp_path_factory.mktemp("clients"))
    if missing:
        pytest.skip(f"D8: these clients cannot be run here: {', '.join(missing)}")
    return found


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Write a form that is no program's, or not for long."""
    path = tmp_path_factory.mktemp("body") / "body"
    path.write_bytes(HEAD + b"\x7fELF" + bytes(BODY_BYTES))
    yield path
    path.unlink()


Check = Callable[..., Awaitable[None]]


@pytest.fixture
def check(idle_agent: Agent, uploaders: list[Uploader], body: Path) -> Check:
    """Have every client send the body, and each of its tries heard."""

    async def heard(*refusals: Refusal, base: str = "") -> None:
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
                assert got == {refusal.heard: refusal.tries}, uploader.name
        assert idle_agent.resident_bytes - before < MOST_BYTES

    return heard


@pytest.fixture
def token(idle_agent: Agent, tmp_path: Path) -> None:
    """Have the agent want a token."""
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    idle_agent.options["--token-file"] = str(path)


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("mode", ["length", "chunked"])
@pytest_twisted.ensureDeferred
async def test_d8_without_the_token(idle_agent: Agent, check: Check, mode: str) -> None:
    """Twenty of twenty uploads without the token hear 401 and why."""
    await idle_agent.start()
    await check(Refusal(NO_TOKEN, mode=mode, tries=TRIES))


@pytest.mark.parametrize("mode", ["length", "chunked"])
@pytest_twisted.ensureDeferred
async def test_d8_too_long(idle_agent: Agent, check: Check, mode: str) -> None:
    """Twenty of twenty uploads that are too long hear 413, at the headers or in the middle."""
    idle_agent.options["--max-upload"] = "1MiB"
    await idle_agent.start()
    await check(Refusal(TOO_LONG, mode=mode, tries=TRIES))


@pytest_twisted.ensureDeferred
async def test_d8_whatever_is_wrong(idle_agent: Agent, check: Check) -> None:
    """A path, a method, a type, a site, a length, and a body that is no upload."""
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
        Refusal("413 the request body is longer than 65536 bytes", "/queue"),
        Refusal("413 the request body is longer than 65536 bytes", "/queue", mode="chunked"),
        Refusal("400 the headers are longer than 16 KiB", headers=_long_headers()),
        Refusal("400 the upload is cut: its final boundary is missing"),
    )


def _long_headers() -> tuple[str, ...]:
    return (FORM, *[f"X-Long-{number}: {'x' * 6000}" for number in range(3)])


@pytest_twisted.ensureDeferred
async def test_d8_from_another_network(idle_agent: Agent, check: Check) -> None:
    """A peer that may not connect hears that; its own health check is answered."""
    await idle_agent.start()
    await idle_agent.stop()
    idle_agent.options["--allow-from"] = "192.0.2.0/24"
    await idle_agent.start()
    await check(Refusal(NETWORK), Refusal(NETWORK, mode="chunked"))


@pytest_twisted.ensureDeferred
async def test_d8_one_too_many(idle_agent: Agent, check: Check) -> None:
    """An upload beyond the bound of connections hears 503 and why."""
    idle_agent.options["--max-connections-per-peer"] = "1"
    await idle_agent.start()
    await idle_agent.close()  # its own connections
    holder = Upload(idle_agent.port, 2**28)
    try:
        with repeating(lambda: holder.send(20_000), pause_seconds=1):  # as slow as may be
            await check(Refusal(FEWER), Refusal(FEWER, mode="chunked"))
    finally:
        holder.cut()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 20 MiB."""
    path = tmp_path / "small"
    path.mkdir()
    if os.geteuid() != 0:
        pytest.skip("D8: to mount a small file system needs root")
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(path)]
    mounted = subprocess.run(mount, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"D8: no small file system can be mounted: {mounted.stderr.strip()}")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest_twisted.ensureDeferred
async def test_d8_on_a_full_disk(
    idle_agent: Agent, uploaders: list[Uploader], body: Path, small_disk: Path
) -> None:
    """An upload for which there is no room hears 507, before it or in the middle."""
    idle_agent.state = small_disk / "state"
    idle_agent.options["--state"] = str(idle_agent.state)
    await idle_agent.start()
    url = f"http://127.0.0.1:{idle_agent.port}/upload"
    for uploader in uploaders:
        for mode in ("length", "chunked"):
            lines = await uploader.send(url, body, mode, FEW, (FORM,))
            print(f"D8: {uploader.name}, {mode}: {lines[0]}")
            assert all(line.startswith("507 ") for line in lines), (uploader.name, lines)


@pytest.mark.usefixtures("token")
@pytest_twisted.ensureDeferred
async def test_d8_by_tls(idle_agent: Agent, check: Check, tmp_path: Path) -> None:
    """By TLS it is the same, though no connection can be closed in one direction."""
    pem = tmp_path / "agent.pem"
    pem.write_bytes(self_signed("127.0.0.1"))
    port = free_port()
    idle_agent.options[f"--listen=ssl:{port}:privateKey={pem}:certKey={pem}"] = ""
    await idle_agent.start()
    base = f"https://127.0.0.1:{port}"
    await check(Refusal(NO_TOKEN), Refusal(NO_TOKEN, mode="chunked"), base=base)
