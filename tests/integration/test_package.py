"""What `make package` builds, installed as its users install it: with nothing else there."""

from __future__ import annotations

import os
import platform
import pwd
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from peers.ports import free_port

ROOT = Path(__file__).parents[2]
# What it takes to build the Debian package and a fresh Debian to install it in.
TOOLS = {
    "/usr/bin/pip3": "python3-pip",
    "dh": "debhelper",
    "dpkg-buildpackage": "dpkg-dev",
    "mmdebstrap": "mmdebstrap",
}
missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]


def run(*command: str | Path) -> str:
    """Run a command to its end, which must be a good one, and return what it printed."""
    done = subprocess.run(
        [*map(str, command)], cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the packages."""
    if missing:
        pytest.skip(f"these packages of Debian are missing: {' '.join(missing)}")
    directory = tmp_path_factory.mktemp("dist")
    print(run(ROOT / "etc" / "package.sh", sys.executable, directory))
    return directory


@contextmanager
def serving(directory: Path, twistd: list[str | Path], **options: str | Path) -> Iterator[str]:
    """Run an installed agent; yield its address, and end it in order."""
    port = free_port()
    options |= {"listen": f"tcp:{port}:interface=127.0.0.1", "rpc": f"127.0.0.1:{free_port()}"}
    command = [*map(str, twistd), "--nodaemon", "--pidfile=", "golo-agent"]
    command += [f"--{name}={value}" for name, value in options.items()]
    with (directory / "log").open("wb") as log:
        agent = subprocess.Popen(command, cwd="/", stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            assert agent.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < deadline, "it does not listen"
        yield f"http://127.0.0.1:{port}"
        agent.terminate()
        assert agent.wait(30) == 0, (directory / "log").read_text()
    finally:
        agent.kill()
        agent.wait()


def get(url: str) -> str:
    """Return what is at a URL."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


@pytest.mark.parametrize("pattern", ["*.whl", "*.tar.gz"], ids=["wheel", "sdist"])
def test_in_a_fresh_environment(dist: Path, tmp_path: Path, pattern: str) -> None:
    """Twistd knows the agent, which serves the page that was packed, and ends in order."""
    [package] = dist.glob(pattern)
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    run(tmp_path / "venv/bin/pip", "install", "--quiet", package)
    twistd = tmp_path / "venv/bin/twistd"
    assert "golo-agent" in run(twistd, "--help")
    own = {"logs": tmp_path / "logs", "state": tmp_path / "state"}
    user = pwd.getpwuid(os.geteuid()).pw_name  # nobody cannot enter pytest's directories
    with serving(tmp_path, [twistd], **own, **{"run-as": user}) as url:
        assert '"ready"' in get(f"{url}/health")
        assert "<title>" in get(f"{url}/")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can install a Debian package")
def test_in_a_fresh_debian(dist: Path, tmp_path: Path) -> None:
    """The service is enabled, its unit is right, the daemon serves, and a purge leaves nothing."""
    [package] = dist.glob("*.deb")
    codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
    root = tmp_path / "root"
    include = "--include=python3,systemd"
    made = subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", include, codename, root],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip(f"no fresh Debian is to be had here: {made.stderr}")
    shutil.copy(package, root)
    print(run("chroot", root, "dpkg", "--install", f"/{package.name}"))
    etc = root / "etc"
    assert (etc / "systemd/system/multi-user.target.wants/golo-agent.service").is_symlink()
    assert (etc / "golo-agent/token").stat().st_mode & 0o777 == 0o600
    assert (etc / "default/golo-agent").is_file()
    run("chroot", root, "systemd-analyze", "verify", "golo-agent.service")
    with serving(tmp_path, ["chroot", root, "/usr/lib/golo-agent/bin/twistd"]) as url:
        assert '"ready"' in get(f"{url}/health")
        assert "<title>" in get(f"{url}/")
    run("chroot", root, "dpkg", "--purge", "golo-agent")
    left = [path for path in root.rglob("*golo-agent*") if not path.is_relative_to(root / "var")]
    assert left == [root / package.name]
