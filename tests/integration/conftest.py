"""Fixtures of the integration tests: an agent and its peers, and load tests to upload."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import pytest_twisted
from golang import build
from peers import debian as fresh
from peers.agent import Agent
from peers.browser import Browser, missing_dependency
from peers.collector import Collector
from peers.notes import Notes
from peers.page import SHOP
from peers.programs import IMPORTS
from peers.pythons import system_python
from peers.readme import ROOT
from peers.sinks import Sinks
from peers.target import Target
from twisted.internet import reactor

from goloagent.sandbox.isolation import IsolationBackend, backends, probe

BACKENDS = backends(f"tests-{os.getpid()}/")
LOADTESTS = Path(__file__).parents[1] / "loadtests"
PACKAGE = Path(__file__).parents[2] / "etc" / "package.sh"


@pytest_twisted.async_yield_fixture
async def sinks() -> AsyncIterator[Sinks]:
    """Return the maker of sinks, which closes them."""
    sinks = Sinks()
    yield sinks
    await sinks.close()


@pytest_twisted.async_yield_fixture
async def target() -> AsyncIterator[Target]:
    """Run a target."""
    target = Target(reactor)
    target.open()
    yield target
    await target.close()


@pytest_twisted.async_yield_fixture
async def collector() -> AsyncIterator[Collector]:
    """Run a collector."""
    collector = Collector(reactor)
    collector.open()
    yield collector
    await collector.close()


@pytest_twisted.async_yield_fixture
async def idle_agent(tmp_path: Path, collector: Collector) -> AsyncIterator[Agent]:
    """Return an agent that is not started; its records are checked after the test."""
    agent = Agent(reactor, tmp_path, collector)
    yield agent
    await agent.finish()


@pytest_twisted.async_yield_fixture
async def archive() -> AsyncIterator[Collector]:
    """Run a second collector."""
    archive = Collector(reactor)
    archive.open()
    yield archive
    await archive.close()


@pytest_twisted.async_fixture
async def outputs_agent(idle_agent: Agent, archive: Collector) -> Agent:
    """Return an agent with the output ``archive``, which is not started."""
    idle_agent.more = ("--output", f"archive=collector+{archive.url}")
    return idle_agent


@pytest_twisted.async_fixture
async def agent(idle_agent: Agent) -> Agent:
    """Start an agent."""
    await idle_agent.start()
    return idle_agent


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def isolation(request: pytest.FixtureRequest) -> IsolationBackend:
    """Each isolation backend that this machine supports."""
    backend: IsolationBackend = request.param
    error = probe(backend, None)
    if error is not None:
        pytest.skip(f"no {backend.name} here: {error}")
    return backend


@pytest_twisted.async_fixture
async def isolated_agent(idle_agent: Agent, isolation: IsolationBackend) -> Agent:
    """Start an agent that uses `isolation`."""
    idle_agent.options["--containment"] = isolation.name
    await idle_agent.start()
    return idle_agent


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Return a browser; the test fails for errors and policy violations on its console."""
    what = missing_dependency()
    if what is not None:
        pytest.skip(what)
    browser = Browser(reactor)
    yield browser
    assert browser.console_errors == []


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Return a function that mounts a tmpfs with options such as ``size=2m``."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    path = tmp_path / "tmpfs"

    def mount(options: str) -> Path:
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
        mounted = subprocess.run(command, check=False, capture_output=True, text=True)
        if mounted.returncode:
            pytest.skip(f"a file system cannot be mounted: {mounted.stderr.strip()}")
        return path

    yield mount
    subprocess.run(["umount", "--lazy", str(path)], check=False)


@pytest.fixture(scope="session")
def go_loadtest(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Build a program of tests/loadtests; keyword arguments set its variables."""

    @cache
    def make(program: str, **variables: str | int) -> Path:
        ldflags = " ".join(f"-X 'main.{name}={value}'" for name, value in variables.items())
        output = tmp_path_factory.mktemp(program) / program
        return build(LOADTESTS / program, output, ldflags)

    return make


@pytest.fixture
def numbered(go_loadtest: Callable[..., Path], tmp_path: Path) -> Notes:
    """Build the load test `numbered`."""
    directory = tmp_path / "notes"
    directory.mkdir()
    return Notes(go_loadtest("numbered"), directory)


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Path]:
    """Write a script to upload; by default it runs in this Python, after `IMPORTS`."""

    def make(text: str, interpreter: str = sys.executable) -> Path:
        path = tmp_path / "script"
        imports = IMPORTS if interpreter == sys.executable else ""
        path.write_text(f"#!{interpreter}\n{imports}{text}", encoding="utf-8")
        return path

    return make


@pytest.fixture
def shop(script: Callable[..., Path]) -> Path:
    """Write a load test of many URLs, some of which fail at times."""
    return script(SHOP)


@pytest.fixture(scope="session")
def packed_example(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Pack the example with compiled packages for the system's Python; return its path."""
    path = tmp_path_factory.mktemp("packed") / "example"
    example = ROOT / "examples" / "http_aiohttp.py"
    python = ["--python", system_python()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "goloagent.client", "pack", example, "-o", path, *python]
    subprocess.run(command, env=environment, check=True)
    return str(path)


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the packages."""
    if fresh.missing:
        pytest.skip(f"these packages of Debian are missing: {' '.join(fresh.missing)}")
    directory = tmp_path_factory.mktemp("dist")
    print(fresh.run(PACKAGE, sys.executable, directory))
    return directory


@pytest.fixture(scope="session")
def debian(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the root of a fresh Debian with only Python and systemd."""
    if os.geteuid() != 0:
        pytest.skip("only root can install a Debian package")
    codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
    root = tmp_path_factory.mktemp("debian") / "root"
    made = subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3,systemd", codename, root],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip(f"no fresh Debian here: {made.stderr}")
    return root
