"""D6: the agent listens only on the configured addresses."""

from __future__ import annotations

import ipaddress
import re
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from peers.agent import Agent, twistd
from peers.ports import free_port
from peers.slow_clients import ask_health
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

_LISTEN = "0A"


def listening(pid: int) -> set[tuple[str, int]]:
    """Return the addresses on which a process listens, from the kernel's tables."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since
            found = re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink()))
            if found:
                inodes.add(found[1])
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == _LISTEN and rest[5] in inodes:
                address, _, port = local.partition(":")
                addresses.add((_address(address), int(port, 16)))
    return addresses


def _address(digits: str) -> str:
    """Parse an address of /proc/net, which has words in the byte order of the machine."""
    words = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    return str(ipaddress.ip_address(struct.pack(f"={len(words)}I", *words)))


async def test_d6_it_listens_where_it_says(idle_agent: Agent, tmp_path: Path) -> None:
    """The kernel lists the configured addresses and no others."""
    second = free_port()
    idle_agent.options[f"--listen=tcp:{second}:interface=127.0.0.2"] = ""
    idle_agent.options[f"--listen=unix:{tmp_path}/socket"] = ""
    await idle_agent.start()
    found = listening(idle_agent.pid)
    print(f"D6: listens on {sorted(found)}")
    assert found == {("127.0.0.1", idle_agent.port), ("127.0.0.2", second)}


@pytest.mark.parametrize(
    "listen",
    ["tcp:{port}", "tcp:{port}:interface=0.0.0.0", "tcp6:{port}", r"tcp:{port}:interface=\:\:"],
)
async def test_d6_beyond_this_host_it_wants_a_token(
    idle_agent: Agent, tmp_path: Path, listen: str
) -> None:
    """A listener for other hosts needs a token or --no-auth."""
    description = listen.format(port=idle_agent.port)
    idle_agent.options["--listen"] = description
    process = twistd(reactor, tmp_path, idle_agent.arguments)
    code = await process.ended.addTimeout(60, reactor)
    assert code == 1
    assert process.stderr.decode() == (
        f"golo-agent: --listen {description}: other hosts reach it, "
        "so it needs --token-file or --no-auth\n"
    )
    idle_agent.options["--no-auth"] = ""
    await idle_agent.start()
    [(address, port)] = listening(idle_agent.pid)
    assert port == idle_agent.port
    assert ipaddress.ip_address(address).is_unspecified


async def test_d6_only_the_allowed_networks(idle_agent: Agent) -> None:
    """Clients outside of --allow-from get 403.

    On the agent's own host they may still ask whether it is ready.
    """
    idle_agent.options["--allow-from"] = "127.0.0.1/32"
    await idle_agent.start()
    answers = {
        (path, address): (await deferToThread(ask_health, idle_agent.port, address, path))[0]
        for path in ("/jobs", "/health")
        for address in ("127.0.0.1", "127.0.0.3")
    }
    print(f"D6: with --allow-from 127.0.0.1/32: {answers}")
    assert answers == {
        ("/jobs", "127.0.0.1"): 200,
        ("/jobs", "127.0.0.3"): 403,
        ("/health", "127.0.0.1"): 200,
        ("/health", "127.0.0.3"): 200,
    }
