"""A real InfluxDB 1."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import treq
from twisted.internet import defer, error, reactor, task
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.web.client import HTTPConnectionPool, ResponseNeverReceived

from peers.ports import free_port

_SETTINGS = """
reporting-disabled = true
bind-address = "127.0.0.1:{backup_port}"
[meta]
dir = "{directory}/meta"
[data]
dir = "{directory}/data"
wal-dir = "{directory}/wal"
index-version = "inmem"
max-values-per-tag = {max_values_per_tag}
[monitor]
store-enabled = false
[http]
bind-address = "127.0.0.1:{port}"
auth-enabled = {authenticated}
log-enabled = false
max-body-size = {max_body_bytes}
"""

USER, PASSWORD = "golo", "pass word"


class InfluxDb(ProcessProtocol):
    """Has its data in `directory`, and one database; skips the test if it is not installed.

    With `authenticated` there is the user `USER`, who may do everything.
    """

    def __init__(
        self,
        directory: Path,
        authenticated: bool = False,
        max_body_bytes: int = 25_000_000,
        max_values_per_tag: int = 100_000,
    ) -> None:
        path = shutil.which("influxd")
        if path is None:
            pytest.skip("there is no influxd here (Debian: influxdb)")
        self.database = "golo"
        self.log = b""
        self._auth = (USER, PASSWORD) if authenticated else None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        settings = directory / "influxdb.conf"
        settings.write_text(
            _SETTINGS.format(
                directory=directory,
                port=self.port,
                backup_port=free_port(),
                authenticated=str(authenticated).lower(),
                max_body_bytes=max_body_bytes,
                max_values_per_tag=max_values_per_tag,
            )
        )
        self._command = [path, "-config", str(settings)]
        self._pool = HTTPConnectionPool(reactor, persistent=False)
        self._spawn()

    def errReceived(self, data: bytes) -> None:
        self.log += data

    def outReceived(self, data: bytes) -> None:
        self.log += data

    def processEnded(self, reason: Failure) -> None:
        self._ended.callback(None)

    async def ready(self) -> None:
        """Wait until it answers, and create the database."""
        for _ in range(600):
            try:
                if self._auth is not None:
                    user = f"CREATE USER {USER} WITH PASSWORD '{PASSWORD}' WITH ALL PRIVILEGES"
                    await self._post(user, None)
                await self.query(f"CREATE DATABASE {self.database}", database="")
            except (error.ConnectError, ResponseNeverReceived):
                assert not self._ended.called, self.log.decode()
                await task.deferLater(reactor, 0.1)
            else:
                return
        raise AssertionError(self.log.decode()[-2000:])

    async def query(self, text: str, database: str | None = None) -> list[dict[str, Any]]:
        """Run InfluxQL; return the rows of all series, with their tags of GROUP BY."""
        answer = await self._post(text, self.database if database is None else database)
        assert "error" not in answer, answer
        [result] = answer["results"]
        assert "error" not in result, result
        return [
            dict(zip(series["columns"], row, strict=True)) | series.get("tags", {})
            for series in result.get("series", ())
            for row in series["values"]
        ]

    async def value(self, text: str) -> Any:
        """Return the value of a query with one column beside the time, or None without a row."""
        rows = await self.query(text)
        values = [value for row in rows for name, value in row.items() if name != "time"]
        assert len(values) <= 1, rows
        return values[0] if values else None

    async def reached(self, text: str, value: Any, seconds: float = 60) -> None:
        """Wait until a query has this value."""
        found = None
        for _ in range(round(seconds / 0.1)):
            found = await self.value(text)
            if found == value:
                return
            await task.deferLater(reactor, 0.1)
        raise AssertionError(f"{text} is {found}, not {value}\n{self.log.decode()[-2000:]}")

    async def write(self, database: str, body: bytes) -> None:
        """Write points of another program."""
        url = f"{self.url}/write?db={database}"
        answer = await treq.post(url, data=body, auth=self._auth, pool=self._pool)
        assert answer.code == 204, await answer.text()

    async def start_again(self) -> None:
        """Start it with the same data, after `stop`."""
        self._spawn()
        await self.ready()

    async def stop(self) -> None:
        """Kill it."""
        if not self._ended.called:
            self._process.signalProcess("KILL")
        await self._ended

    def suspend(self) -> None:
        """Stop it from answering, until `resume`."""
        self._process.signalProcess("STOP")

    def resume(self) -> None:
        """Let it answer again."""
        self._process.signalProcess(signal.SIGCONT)

    async def _post(self, text: str, database: str | None) -> Any:
        members = {"q": text, "epoch": "ns"} | ({"db": database} if database else {})
        answer = await treq.post(
            f"{self.url}/query", data=members, auth=self._auth, pool=self._pool
        )
        return await treq.json_content(answer)

    def _spawn(self) -> None:
        self._ended: defer.Deferred[None] = defer.Deferred()
        # Without the environment of the tests, in which variables of InfluxDB may be set.
        self._process = reactor.spawnProcess(
            self, self._command[0], self._command, env={"PATH": ""}
        )
