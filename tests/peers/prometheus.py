"""A real Prometheus, which scrapes an agent or is written to, and a real VictoriaMetrics."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import treq
from twisted.internet import defer, error, reactor, task
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.web.client import HTTPConnectionPool, ResponseNeverReceived

from peers.ports import free_port

RECEIVER = "--web.enable-remote-write-receiver"
NATIVE = "--enable-feature=native-histograms"

_SETTINGS = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs: [{{job_name: golo, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""


class _Starting(Exception):
    """The server listens, and does not serve queries yet."""


class QueryServer(ProcessProtocol):
    """A server with the query API of Prometheus; skips the test if it is not installed."""

    def __init__(self, program: str, package: str, directory: Path, *arguments: str) -> None:
        path = shutil.which(program)
        if path is None:
            pytest.skip(f"there is no {program} here (Debian: {package})")
        self.log = b""
        self._pool = HTTPConnectionPool(reactor, persistent=False)
        self._ended: defer.Deferred[None] = defer.Deferred()
        self._directory = directory
        self._command = [path, *arguments]
        self._spawn()

    address = ""

    @property
    def url(self) -> str:
        """Its address for an output."""
        return f"http://{self.address}"

    def errReceived(self, data: bytes) -> None:
        self.log += data

    def processEnded(self, reason: Failure) -> None:
        self._ended.callback(None)

    async def result(self, query: str, at: float | None = None) -> list[dict[str, Any]]:
        """Return the series that a query finds, now or at a time."""
        parameters = {"query": query} if at is None else {"query": query, "time": at}
        url = f"{self.url}/api/v1/query?{urlencode(parameters)}"
        response = await treq.get(url, pool=self._pool)
        if response.code == 503:
            raise _Starting(await treq.text_content(response))
        answer: dict[str, Any] = await treq.json_content(response)
        assert answer["status"] == "success", answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    async def value(self, query: str, at: float | None = None) -> float | None:
        """Return the value of a query, or None without one."""
        found = await self.result(query, at)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    async def reached(self, query: str, value: float, seconds: float = 60) -> None:
        """Wait until a query has this value."""
        found: float | None = None
        for _ in range(round(seconds / 0.1)):
            try:
                found = await self.value(query)
            except (error.ConnectError, ResponseNeverReceived, _Starting):
                assert not self._ended.called, self.log.decode()
            if found == value:
                return
            await task.deferLater(reactor, 0.1)
        raise AssertionError(f"{query} is {found}, not {value}\n{self.log.decode()[-2000:]}")

    async def start_again(self) -> None:
        """Start it with the same data, after `stop`."""
        self._ended = defer.Deferred()
        self._spawn()
        await self.reached("vector(1)", 1)

    async def stop(self) -> None:
        """End it."""
        if not self._ended.called:
            self._process.signalProcess("KILL")
        await self._ended

    def _spawn(self) -> None:
        command = self._command
        self._process = reactor.spawnProcess(self, command[0], command, path=str(self._directory))


class Prometheus(QueryServer):
    """Has its data in `directory`, and scrapes an agent each second if it has its port."""

    def __init__(self, directory: Path, agent_port: int | None, *options: str) -> None:
        settings = directory / "prometheus.yml"
        settings.write_text("" if agent_port is None else _SETTINGS.format(port=agent_port))
        self.address = f"127.0.0.1:{free_port()}"
        super().__init__(
            "prometheus",
            "prometheus",
            directory,
            f"--config.file={settings}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={self.address}",
            *options,
        )


class VictoriaMetrics(QueryServer):
    """Like `Prometheus`; of samples of one series and time it keeps one, or all."""

    def __init__(
        self, directory: Path, agent_port: int | None = None, keeps_all: bool = False
    ) -> None:
        settings = directory / "scrape.yml"
        settings.write_text("" if agent_port is None else _SETTINGS.format(port=agent_port))
        self.address = f"127.0.0.1:{free_port()}"
        super().__init__(
            "victoria-metrics",
            "victoria-metrics",
            directory,
            f"-promscrape.config={settings}",
            f"-storageDataPath={directory / 'data'}",
            f"-httpListenAddr={self.address}",
            f"-dedup.minScrapeInterval={0 if keeps_all else 1}ms",
            "-search.latencyOffset=0s",
            "-search.disableCache",
        )
