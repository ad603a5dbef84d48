"""The agent as a system service: notifications, socket activation, and its unit files."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from peers.agent import TWISTD, Agent
from peers.collector import Collector
from peers.programs import Builder
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol

from goloagent import settings
from goloagent.options import Options
from goloagent.service import STOP_SECONDS

ROOT = Path(__file__).parents[2]
ETC = ROOT / "etc"
UNIT = ETC / "golo-agent.service"
# Half a minute, at five notifications a second.
_MAX_DATAGRAMS = 150
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

    async def received(self, line: str) -> None:
        """Return once `line` has arrived since the last such wait."""
        for _ in range(_MAX_DATAGRAMS):
            if line in self.lines:
                break
            self._said = Deferred()
            await self._said
        else:
            pytest.fail(f"{line} is not among {self.lines}")
        self.lines.clear()


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    """Return a manager whose agents use a watchdog of 0.4 s."""
    path = str(tmp_path / "notify")
    manager = Manager()
    port = reactor.listenUNIXDatagram(path, manager)
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    yield manager
    port.stopListening()


async def test_notifications(manager: Manager, idle_agent: Agent) -> None:
    """READY is sent when jobs are accepted, then watchdog messages, and STOPPING at the end."""
    await idle_agent.start()
    assert "READY=1" in manager.lines
    assert manager.lines.index("STATUS=starting") < manager.lines.index("READY=1")
    manager.lines.clear()
    for _ in range(3):
        await manager.received("WATCHDOG=1")
    assert await idle_agent.stop() == 0
    assert "STOPPING=1" in manager.lines


async def test_the_status_is_that_of_health(
    manager: Manager, idle_agent: Agent, collector: Collector, script: Builder
) -> None:
    """The status reports that the collector fails and that it works again."""
    collector.answer = lambda name: 503
    await idle_agent.start()
    result = json.dumps({"timestamp": "2026-01-02T03:04:05Z", "status": 200})
    job_id = await idle_agent.queue("job", script(f"echo '{result}'", "/bin/sh"), duration=1)
    await manager.received("STATUS=ready; collector retrying: 503")
    collector.answer = lambda name: 200
    await manager.received("STATUS=ready")
    await idle_agent.settled(job_id)


@pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="systemd-socket-activate is missing"
)
async def test_socket_activation(idle_agent: Agent, script: Builder) -> None:
    """The agent serves a socket of LISTEN_FDS."""
    address = f"127.0.0.1:{idle_agent.port}"
    activate = ["systemd-socket-activate", "-l", address, "--fdname=http"]
    idle_agent.prefix = (*activate, f"-EPYTHONPATH={ROOT}")
    idle_agent.options |= {"--listen": "systemd:domain=INET:name=http", "--no-auth": ""}
    await idle_agent.start()
    assert len(await idle_agent.upload(script("exit"))) == 36


def test_sockets_of_another_process(tmp_path: Path) -> None:
    """Sockets for another process are refused with a sentence."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LISTEN_PID": "1", "LISTEN_FDS": "1"}
    command = [str(TWISTD), "--nodaemon", "--pidfile=", "golo-agent", "--no-auth"]
    user = pwd.getpwuid(os.geteuid()).pw_name  # `nobody` cannot enter pytest's directories
    command += ["--listen=systemd:domain=INET:index=0", f"--run-as={user}"]
    command += [f"--state={tmp_path / 'state'}", f"--logs={tmp_path / 'logs'}"]
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "golo-agent: --listen systemd:domain=INET:index=0: " in ended.stderr


@needs_analyze
def test_the_units_are_valid(tmp_path: Path) -> None:
    """systemd-analyze finds no fault in the units, except that nothing is installed."""
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
    """The unit's exposure by systemd's measure is at most 1.3 of 10."""
    command = ["systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=13"]
    found = subprocess.run([*command, str(UNIT)], capture_output=True, text=True, check=False)
    print(found.stdout.splitlines()[-1])
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_option_is_in_the_settings_file() -> None:
    """The settings file shows each option with its default."""
    text = (ETC / "golo-agent.default").read_text()
    shown = dict(re.findall(r"^#   --([a-z-]+)(?: ([^ \n]+))?", text, re.M))
    options = Options()
    assert {*shown} == {name for name in options.synonyms if len(name) > 1} - {"version", "help"}
    for name, _, default, *_ in options.optParameters:
        assert default is None or shown[name] == default, name


def cluster_arguments() -> dict[str, list[str]]:
    """Return the agent's arguments in the examples for clusters."""
    pod = yaml.safe_load((ETC / "kubernetes.yaml").read_text())["spec"]["template"]["spec"]
    job = (ETC / "golo-agent.nomad.hcl").read_text()
    [listed] = re.findall(r"args = \[(.*?)\]", job, re.S)
    return {"kubernetes": pod["containers"][0]["args"], "nomad": re.findall(r'"(.*)"', listed)}


@pytest.mark.parametrize("cluster", ["kubernetes", "nomad"])
def test_the_examples_for_clusters(cluster: str) -> None:
    """The examples for clusters have valid options, and require a token."""
    options = Options()
    options.parseOptions(cluster_arguments()[cluster])
    assert options.settings.token_file is not None
    assert not options.settings.no_auth
    assert not settings.listener(options.settings.listen[0]).is_private


def test_the_pod_is_consistent() -> None:
    """The pod's label is selected, its mounts are volumes, and its probes' ports are declared."""
    daemons = yaml.safe_load((ETC / "kubernetes.yaml").read_text())["spec"]
    labels, pod = daemons["template"]["metadata"]["labels"], daemons["template"]["spec"]
    assert daemons["selector"]["matchLabels"].items() <= labels.items()
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in (*pod["initContainers"], *pod["containers"]):
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    [agent] = pod["containers"]
    ports = {port["name"] for port in agent["ports"]}
    for probe in ("readinessProbe", "livenessProbe"):
        assert agent[probe]["tcpSocket"]["port"] in ports
    # More seconds than an ordered stop takes.
    assert pod["terminationGracePeriodSeconds"] > STOP_SECONDS


def test_the_image_runs_as_the_pod_does() -> None:
    """The image's user is the pod's, by number, and owns the pod's mounts."""
    pod = yaml.safe_load((ETC / "kubernetes.yaml").read_text())["spec"]["template"]["spec"]
    image = (ETC / "Dockerfile").read_text()
    [user], [group] = (
        re.findall(r"--uid (\d+)", image),
        re.findall(r"groupadd .*--gid (\d+)", image),
    )
    assert (int(user), int(group)) == (
        pod["securityContext"]["runAsUser"],
        pod["securityContext"]["fsGroup"],
    )
    assert f"{user}:{group}" in pod["initContainers"][0]["command"]
