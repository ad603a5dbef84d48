"""The installed unit under a real systemd allows what the agent needs, and no more."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from peers.certificate import self_signed
from peers.debian import Machine, NotSupported, boot
from peers.ports import free_port
from peers.programs import Builder
from peers.readme import aimed_at, python_example, serving_target

pytestmark = pytest.mark.full
ATTACKER = Path(__file__).parents[1] / "loadtests" / "attacker.py"
TOKEN = "unit-token"
CREDENTIALS = Path("/run/credentials/golo-agent.service")
# The drop-in of an operator for a service with a token and a key.
KEY = "[Service]\nLoadCredential=key:/etc/golo-agent/key.pem\n"


@attrs.frozen
class Service:
    """The service on a machine, used over HTTP."""

    machine: Machine
    port: int

    def ask(self, path: str, body: bytes | None = None, kind: str = "application/json") -> str:
        """Return the response to a GET, or to a POST of `body`."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body)
        request.add_header("Authorization", f"Bearer {TOKEN}")
        request.add_header("Content-Type", kind)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode()

    def run(self, name: str, program: bytes, **env: str) -> dict[str, Any]:
        """Run a load test for a second and return its job."""
        form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
        form += program + b"\r\n--b--\r\n"
        binary = json.loads(self.ask("/upload", form, "multipart/form-data; boundary=b"))["binary"]
        wanted = {"name": name, "users": 5, "duration": 1, "binary": binary, "env": env}
        job_id = json.loads(self.ask("/queue", json.dumps(wanted).encode()))["id"]
        self.ask(f"/jobs/{job_id}/out.log?follow=1")  # ends with the job
        job: dict[str, Any] = json.loads(self.ask(f"/jobs/{job_id}"))
        return job


@pytest.fixture
def service(dist: Path, debian: Path, tmp_path: Path) -> Iterator[Service]:
    """Install and start the service with a token and a TLS key."""
    [package] = dist.glob("*.deb")
    port = free_port()
    options = (
        f"--listen tcp:{port}:interface=127.0.0.1 --rpc 127.0.0.1:{free_port()} "
        f"--listen ssl:{free_port()}:interface=127.0.0.1:privateKey={CREDENTIALS / 'key'} "
        f"--token-file {CREDENTIALS / 'token'}"
    )
    etc = tmp_path / "etc"
    for name, content in {
        "default/golo-agent": f'GOLO_AGENT_OPTIONS="{options}"\n'.encode(),
        "golo-agent/token": TOKEN.encode(),
        "golo-agent/key.pem": self_signed("127.0.0.1"),
        "systemd/system/golo-agent.service.d/key.conf": KEY.encode(),
    }.items():
        (etc / name).parent.mkdir(parents=True, exist_ok=True)
        (etc / name).write_bytes(content)
    try:
        with boot(debian, tmp_path, package) as machine:
            try:
                yield Service(machine, port)
            finally:
                print(machine.run("journalctl", "--no-pager", "--unit=golo-agent"))
    except NotSupported as unable:
        print(f"no systemd can be run here: {unable}")
        pytest.skip(f"no systemd can be run here: {unable}")


def paths_on(machine: Machine) -> dict[str, list[str]]:
    """Return the agent's private files and directories, by all their names."""
    found: dict[str, list[str]] = {}
    for kind, letter in (("files", "f"), ("directories", "d")):
        below = ["/var/lib/private/golo-agent", "/var/log/private/loadtest-agent"]
        listed = machine.run("find", *below, "-type", letter).splitlines()
        # The names in the options are links to these.
        found[kind] = [name for path in listed for name in (path, path.replace("private/", ""))]
    found["files"] += [str(CREDENTIALS / "token"), str(CREDENTIALS / "key")]
    return found


def test_d7_under_the_unit(service: Service, go_loadtest: Builder, packed_example: str) -> None:
    """Load tests are isolated by a cgroup and by Landlock: a real one finishes, an attacker fails.

    Agent and load tests run as the same user.
    """
    machine = service.machine
    assert machine.run("systemctl", "is-active", "golo-agent") == "active\n"
    health = json.loads(service.ask("/health"))
    protections = health["protections"]
    assert (protections["processes"], protections["files"]) == ("cgroup", "landlock"), health
    job = service.run("counter", go_loadtest("counter", count=1000).read_bytes())
    assert job["state"] == "finished", job
    # The load test in Python imports the SDK from a directory that is otherwise closed.
    with serving_target() as target:
        job = service.run("readme", aimed_at(target.url, python_example()).encode())
        assert job["state"] == "finished", job
        assert job["results"]["valid"] == target.served > 0, job
    # It unpacks itself, with compiled packages, into the only directory that it can write.
    with serving_target() as target:
        job = service.run("packed", Path(packed_example).read_bytes(), TARGET=target.url)
        assert job["state"] == "finished", job
        assert job["results"]["valid"] == target.served > 0, job
    pid = int(machine.run("systemctl", "show", "--property=MainPID", "--value", "golo-agent"))
    # The unit sets it; the agent's own system calls may not change it.
    assert machine.run("chrt", "--pid", str(pid)).splitlines()[0].endswith("SCHED_BATCH")
    paths = paths_on(machine)
    assert "/var/lib/golo-agent/golo-agent.sqlite" in paths["files"]
    given = paths | {
        "agent": pid,
        "port": service.port,
        "beside": "/etc/debian_version",
        "cgroup": "/sys/fs/cgroup/system.slice/golo-agent.service",
        # Load tests in Python may read it.
        "readable": ["/golo-agent/sdk.zip"],
    }
    text = f"#!/usr/bin/python3\n{ATTACKER.read_text()}\nmain({given!r})\n"
    job = service.run("attacker", text.encode())
    report = json.loads(service.ask(f"/jobs/{job['id']}/err.log"))
    print(
        f"D7: {report['tried']} ways to the paths of the unit's agent tried by its own user, "
        f"{len(report['reached'])} open"
    )
    assert report["reached"] == []
    assert report["controllers"] is not None
    assert TOKEN not in str(report["environment"])
    machine.run("systemctl", "stop", "golo-agent")
    stopped = machine.run("systemctl", "show", "--property=Result,NRestarts", "golo-agent")
    assert {*stopped.split()} == {"Result=success", "NRestarts=0"}
