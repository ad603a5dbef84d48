"""A real ``golo collect`` on a free port, used over HTTP."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import treq
from twisted.internet import defer, error, reactor, task
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.web.client import HTTPConnectionPool, ResponseNeverReceived

import goloagent
from peers.ports import free_port


class Collect(ProcessProtocol):
    """Has its state below `directory`; `outputs` are its ``--output``."""

    def __init__(self, directory: Path, *outputs: str) -> None:
        self.state = directory / "collect"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = b""
        self.options = [
            f"--listen=tcp:{self.port}:interface=127.0.0.1",
            f"--state={self.state}",
            *(f"--output={output}" for output in outputs),
        ]
        self._pool = HTTPConnectionPool(reactor, persistent=False)
        self._ended: defer.Deferred[int] | None = None

    def outReceived(self, data: bytes) -> None:
        self.log += data

    def errReceived(self, data: bytes) -> None:
        self.log += data

    def processEnded(self, reason: Failure) -> None:
        self._ended.callback(reason.value.exitCode)

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        command = [sys.executable, "-m", "goloagent.client", "collect", *self.options]
        environment = {**os.environ, "PYTHONPATH": str(Path(goloagent.__file__).parents[1])}
        self._ended = defer.Deferred()
        self._process = reactor.spawnProcess(self, command[0], command, env=environment)
        for _ in range(600):
            assert not self._ended.called, self.log.decode()
            try:
                response = await treq.get(f"{self.url}/health", pool=self._pool)
                await treq.content(response)
                if response.code == 200:
                    return
            except (error.ConnectError, ResponseNeverReceived):
                pass
            await task.deferLater(reactor, 0.1)
        raise AssertionError(self.log.decode()[-2000:])

    async def end(self, signal: str = "TERM") -> int:
        """Send a signal, and return the exit code once it has ended."""
        if self._ended is None or self._ended.called:
            return 0
        self._process.signalProcess(signal)
        code: int = await self._ended
        return code

    async def push(self, name: str, body: bytes, key: str = "", **headers: str) -> tuple[int, str]:
        """Push a body; return the status and the text of the response."""
        headers = {"Content-Type": "application/json", **headers}
        if key:
            headers["Idempotency-Key"] = key
        response = await treq.post(
            f"{self.url}/push/{name}", data=body, headers=headers, pool=self._pool
        )
        return response.code, (await treq.content(response)).decode()

    async def get(self, path: str) -> Any:
        """Return a JSON document."""
        response = await treq.get(f"{self.url}{path}", pool=self._pool)
        return await treq.json_content(response)

    async def delete(self, path: str) -> int:
        """Return the status of a DELETE."""
        response = await treq.delete(f"{self.url}{path}", pool=self._pool)
        await treq.content(response)
        return response.code


async def eventually(read: Callable[[], Any], wanted: Any, seconds: float = 60) -> None:
    """Wait until a function returns a value."""
    found = None
    for _ in range(round(seconds / 0.1)):
        found = read()
        if found == wanted:
            return
        await task.deferLater(reactor, 0.1)
    raise AssertionError(f"{str(found)[:2000]} is not {str(wanted)[:2000]}")


def numbers(path: Path) -> list[int]:
    """Return the sequence numbers of the results in the whole lines of a JSONL file, sorted."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return sorted(int(json.loads(line)["result"]["sequenceID"]) for line in lines)
