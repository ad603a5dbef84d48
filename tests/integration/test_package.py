"""The packages of `make package` work without anything else installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from peers.debian import run
from peers.ports import free_port
from peers.readme import SYSTEM_PATH, run_python_example

from goloagent import VERSION
from goloagent.client import project

pytestmark = pytest.mark.full

CLIENT = "usr/lib/golo-agent/python/goloagent/client"


@contextmanager
def serving(directory: Path, twistd: list[str | Path], **options: str | Path) -> Iterator[str]:
    """Run an installed agent without activating its environment; yield its URL, and stop it."""
    port = free_port()
    options |= {"listen": f"tcp:{port}:interface=127.0.0.1", "rpc": f"127.0.0.1:{free_port()}"}
    command = [*map(str, twistd), "--nodaemon", "--pidfile=", "golo-agent"]
    command += [f"--{name}={value}" for name, value in options.items()]
    with (directory / "log").open("wb") as log:
        agent = subprocess.Popen(
            command, cwd="/", env={"PATH": SYSTEM_PATH}, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 30
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            assert agent.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < deadline, "it does not listen"
        url = f"http://127.0.0.1:{port}"
        while (health := ask(f"{url}/health"))[0] == 503:
            assert time.monotonic() < deadline, health
        yield url
        agent.terminate()
        assert agent.wait(30) == 0, (directory / "log").read_text()
    finally:
        agent.kill()
        agent.wait()


def ask(url: str) -> tuple[int, str]:
    """Return the status and body of the response to GET."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def get(url: str) -> str:
    """Return the body at a URL."""
    status, body = ask(url)
    assert status == 200, body
    return body


def check_template(language: str, directory: Path) -> None:
    """Check that a directory has all files of a template, and no other."""
    template = project.TEMPLATES / language
    assert content(directory) == content(template) != {}


def content(directory: Path) -> dict[Path, bytes]:
    """Return the files in a directory, except those that Python has compiled."""
    return {
        path.relative_to(directory): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


@pytest.mark.parametrize("pattern", ["*.whl", "*.tar.gz"], ids=["wheel", "sdist"])
def test_in_a_fresh_environment(dist: Path, tmp_path: Path, pattern: str) -> None:
    """The agent serves the packed page, runs the README's load test, and stops in order."""
    [package] = dist.glob(pattern)
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    run(tmp_path / "venv/bin/pip", "install", "--quiet", package)
    twistd = tmp_path / "venv/bin/twistd"
    assert "golo-agent" in run(twistd, "--help")
    for language in project.BUILD_COMMANDS:
        run(tmp_path / "venv/bin/golo", "new", language, tmp_path / language)
        check_template(language, tmp_path / language)
    own = {"logs": tmp_path / "logs", "state": tmp_path / "state"}
    user = pwd.getpwuid(os.geteuid()).pw_name  # `nobody` cannot enter pytest's directories
    with serving(tmp_path, [twistd], **own, **{"run-as": user}) as url:
        assert '"ready"' in get(f"{url}/health")
        assert "<title>" in get(f"{url}/")
        run_python_example(url)
    check_commands([], tmp_path / "venv/bin")


def check_commands(prefix: list[str | Path], directory: Path) -> None:
    """Check that the commands are there, and that golo runs a load test without an agent."""
    for name in ("golo", "golo-agent"):
        assert run(*prefix, directory / name, "--version") == f"{name} {VERSION}\n"
    words = ("run", "--exec", "--users", "1", "--duration", "1s", "--", "true")
    assert "Passed" in run(*prefix, directory / "golo", *words)


def test_in_a_fresh_debian(dist: Path, debian: Path, tmp_path: Path, packed_example: str) -> None:
    """The service is enabled, its unit is valid, the agent serves, and a purge leaves nothing."""
    [package] = dist.glob("*.deb")
    shutil.copy(package, debian)
    print(run("chroot", debian, "dpkg", "--install", f"/{package.name}"))
    etc = debian / "etc"
    assert (etc / "systemd/system/multi-user.target.wants/golo-agent.service").is_symlink()
    assert (etc / "golo-agent/token").stat().st_mode & 0o777 == 0o600
    assert (etc / "default/golo-agent").is_file()
    run("chroot", debian, "systemd-analyze", "verify", "golo-agent.service")
    for language in project.BUILD_COMMANDS:
        check_template(language, debian / CLIENT / "templates" / language)
    with serving(tmp_path, ["chroot", debian, "/usr/lib/golo-agent/bin/twistd"]) as url:
        assert '"ready"' in get(f"{url}/health")
        assert "<title>" in get(f"{url}/")
        run_python_example(url, packed=packed_example)
    check_commands(["chroot", debian], Path("/usr/bin"))
    run("chroot", debian, "dpkg", "--purge", "golo-agent")
    left = [
        path for path in debian.rglob("*golo-agent*") if not path.is_relative_to(debian / "var")
    ]
    assert left == [debian / package.name]
