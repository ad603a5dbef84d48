"""The agent as a system service: what it tells the manager, sockets it is given, and its unit."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from peers.agent import Agent
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol

from goloagent.tap import Options

ROOT = Path(__file__).parents[2]
ETC = ROOT / "etc"
UNIT = ETC / "golo-agent.service"
needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing"
)


class Manager(DatagramProtocol):
    """A service manager's end of the notify socket."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._said: Deferred[None] | None = None

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.lines.extend(datagram.decode().splitlines())
        said, self._said = self._said, None
        if said is not None:
            said.callback(None)

    async def hears(self, line: str) -> None:
        """Return once `line` was said, since the last such wait."""
        while line not in self.lines:
            self._said = Deferred()
            await self._said
        self.lines.clear()


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    """A manager that an agent started meanwhile tells how it fares, with a watchdog of 0.4 s."""
    from twisted.internet import reactor

    path = str(tmp_path / "notify")
    manager = Manager()
    port = reactor.listenUNIXDatagram(path, manager)
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    yield manager
    port.stopListening()


@pytest_twisted.ensureDeferred
async def test_the_manager_is_told(manager: Manager, idle_agent: Agent) -> None:
    """READY comes when jobs are taken, then the watchdog is fed, and STOPPING before the end."""
    await idle_agent.start()
    assert "READY=1" in manager.lines
    assert manager.lines.index("STATUS=starting") < manager.lines.index("READY=1")
    manager.lines.clear()
    for _ in range(3):
        await manager.hears("WATCHDOG=1")
    assert await idle_agent.stop() == 0
    assert "STOPPING=1" in manager.lines


@pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="systemd-socket-activate is missing"
)
@pytest_twisted.ensureDeferred
async def test_socket_activation(idle_agent: Agent, script: Callable[..., Path]) -> None:
    """The agent serves a socket that it was given, by LISTEN_FDS."""
    address = f"127.0.0.1:{idle_agent.port}"
    activate = ["systemd-socket-activate", "-l", address, "--fdname=http"]
    idle_agent.become = (*activate, f"-EPYTHONPATH={ROOT}")
    idle_agent.options |= {"--listen": "systemd:domain=INET:name=http", "--no-auth": ""}
    await idle_agent.start()
    assert len(await idle_agent.upload(script("exit"))) == 36


@needs_analyze
def test_the_units_are_right(tmp_path: Path) -> None:
    """systemd-analyze finds no fault in the units, but that nothing is installed here."""
    for unit in (UNIT, ETC / "golo-agent.socket"):
        (tmp_path / unit.name).write_text(
            unit.read_text().replace("/usr/lib/golo-agent/bin/twistd", sys.executable)
        )
    units = [str(tmp_path / name) for name in ("golo-agent.service", "golo-agent.socket")]
    found = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")


@needs_analyze
def test_the_unit_is_hardened() -> None:
    """Its exposure is 1.3 of 10 at most, by systemd's own measure."""
    command = ["systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=13"]
    found = subprocess.run([*command, str(UNIT)], capture_output=True, text=True, check=False)
    print(found.stdout.splitlines()[-1])
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_option_is_in_the_settings_file() -> None:
    """The settings file shows each option with its default, where it has one."""
    text = (ETC / "golo-agent.default").read_text()
    shown = dict(re.findall(r"^#   --([a-z-]+)(?: ([^ \n]+))?", text, re.M))
    options = Options()
    assert {*shown} == {name for name in options.synonyms if len(name) > 1} - {"version", "help"}
    for name, _, default, *_ in options.optParameters:
        assert default is None or shown[name] == default, name
