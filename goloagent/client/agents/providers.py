"""Providers of agents: where the addresses of a run's agents come from.

``localhost``, ``env`` (``$GOLO_HOSTS``), ``digitalocean``, ``file:PATH``, ``exec:COMMAND``, or
addresses themselves, separated by commas.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from goloagent.client.agents import digitalocean
from goloagent.client.agents.address import AgentAddress
from goloagent.client.errors import ClientError
from goloagent.core.address import AddressError

HOSTS = "GOLO_HOSTS"
FORMS = (
    "localhost, env, digitalocean, file:PATH, exec:COMMAND, or addresses such as host:8081, "
    "[2001:db8::1]:8081, https://host or unix:/path"
)
MAX_AGENTS = 10_000
MAX_LIST_BYTES = 1 << 20
MAX_COMMAND_SECONDS = 60


def find(provider: str, tag: str, environ: Mapping[str, str]) -> list[AgentAddress]:
    """Return the addresses of a provider's agents, at least one, each once, in its order.

    It blocks: ``digitalocean`` sends requests, ``exec:`` waits for a command.

    Args:
        tag: the tag of agents, for ``digitalocean``.

    Raises:
        ClientError: there is none, or one is not an address.
    """
    if provider == "localhost":
        source, texts = "localhost", ["localhost"]
    elif provider == "env":
        source, texts = f"${HOSTS}", environ.get(HOSTS, "").split(",")
    elif provider == "digitalocean":
        source = f'DigitalOcean with tag "{tag}"'
        texts = [f"[{host}]" if ":" in host else host for host in digitalocean.find(tag, environ)]
    elif provider.startswith("file:"):
        source = provider.removeprefix("file:")
        texts = _lines(_read(Path(source)))
    elif provider.startswith("exec:"):
        command = provider.removeprefix("exec:").strip()
        source = f'the output of "{command}"'
        texts = _lines(_output(command))
    else:
        source, texts = f'provider "{provider}"', provider.split(",")
    return _parse(source, [text.strip() for text in texts])


def _parse(source: str, texts: Iterable[str]) -> list[AgentAddress]:
    addresses: dict[AgentAddress, None] = {}
    for text in filter(None, texts):
        try:
            addresses[AgentAddress.parse(text)] = None
        except AddressError as error:
            raise ClientError(
                f'{source}: "{text}" is not the address of an agent: {error}; a provider is {FORMS}'
            ) from None
    if not addresses:
        hint = f"; set {HOSTS} to addresses, separated by commas" if HOSTS in source else ""
        raise ClientError(f"no agents in {source}{hint}; a provider is {FORMS}")
    if len(addresses) > MAX_AGENTS:
        raise ClientError(f"{source} has {len(addresses)} agents; use at most {MAX_AGENTS}")
    return list(addresses)


def _lines(text: str) -> list[str]:
    """Return the lines without comments, which begin with ``#``."""
    return [line.partition("#")[0] for line in text.splitlines()]


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return _decode(str(path), file.read(MAX_LIST_BYTES + 1))
    except OSError as error:
        raise ClientError(f"cannot read the agents of file:{path}: {error.strerror}") from None


def _output(command: str) -> str:
    """Return what a shell command prints; it and its children are killed at the maximum time."""
    if not command:
        raise ClientError("exec: needs a command that prints one address a line: exec:COMMAND")
    with subprocess.Popen(
        command,
        shell=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        timer = threading.Timer(MAX_COMMAND_SECONDS, _kill, [process])
        timer.start()
        try:
            assert process.stdout is not None
            output = process.stdout.read(MAX_LIST_BYTES + 1)
            if len(output) > MAX_LIST_BYTES:
                _kill(process)
            code = process.wait()
        except BaseException:  # a KeyboardInterrupt too
            _kill(process)
            raise
        finally:
            timer.cancel()
    text = _decode(f'the output of "{command}"', output)
    if code == -signal.SIGKILL:
        raise ClientError(
            f'"{command}" did not end within {MAX_COMMAND_SECONDS} s; run it to see why'
        )
    if code:
        raise ClientError(
            f'"{command}" ended with exit code {code}; it must print one address a line and exit 0'
        )
    return text


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _decode(source: str, data: bytes) -> str:
    if len(data) > MAX_LIST_BYTES:
        raise ClientError(
            f"{source} has more than {MAX_LIST_BYTES} bytes; write one address a line"
        )
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ClientError(f"{source} is not text in UTF-8; write one address a line") from None
