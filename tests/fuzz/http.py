"""An HTTP connection with all routes, given any bytes."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
from unit.http import golo_cli
from unit.http.in_memory import NOW, Agent, Connection

from fuzz import cut, pieces
from goloagent.artifacts.store import ArtifactStore
from goloagent.jobs.database import Store

_STATUS = re.compile(rb"(?:^|(?<=\n))HTTP/1\.[01] (\d{3}) ", re.M)
_errors: list[str] = []

_GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def seeds() -> Iterator[bytes]:
    """Yield requests of every kind, single and pipelined."""
    chunked = b"POST /queue HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    for data in (
        _GET,
        _GET * 2 + golo_cli.queue(b'{"binary":"x"}'),
        golo_cli.upload(b"#!/bin/sh\n"),
        chunked + b"2;x=y\r\n{}\r\n0\r\nA: b\r\n\r\n" + _GET,
        golo_cli.upload(b"#!/bin/sh\n").replace(b"\r\nUser", b"\r\nExpect: 100-continue\r\nUser"),
        b"GET /jobs?limit=1&name=%00&state=queued HTTP/1.0\r\nAccept: application/json\r\n\r\n",
        b"DELETE /jobs/%2e%2e HTTP/1.1\r\nHost: [::1]:1\r\nOrigin: null\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 99999999999999999999\r\n\r\n",
    ):
        yield b"\x00" + data
        yield b"\x03" + data


def check(data: bytes) -> None:
    """Serve it whole and in pieces: the same responses, none 5xx, nothing logged, no timer left."""
    stream, size = cut(data)
    whole = _statuses(stream, len(stream) + 1)
    assert whole == _statuses(stream, size)
    assert all(status < 500 for status in whole), whole


def _statuses(stream: bytes, size: int) -> list[int]:
    agent, factory = _agent()
    connection = Connection(factory, IPv4Address("TCP", "127.0.0.1", 40000))
    for piece in pieces(stream, size):
        connection.send(piece)
    received = connection.received
    connection.lose()
    assert not agent.clock.getDelayedCalls()
    assert not list(agent.artifacts.incoming.iterdir())
    for binary in agent.artifacts.ids.iterdir():
        binary.unlink()
    assert not _errors, _errors
    # Responses to HEAD have no body, so only the status lines count.
    return [int(status) for status in _STATUS.findall(received) if status != b"100"]


@cache
def _agent() -> tuple[Agent, Any]:
    """Make one agent and its site for all inputs; errors that it logs are failures."""
    directory = Path(tempfile.mkdtemp(prefix="golo-fuzz-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    store = Store(directory / "agent.sqlite")
    binaries = ArtifactStore(directory, store, lambda: NOW)
    binaries.open()
    globalLogPublisher.addObserver(_note)
    agent = Agent(directory, store, binaries)
    first = agent.connect()
    first.lose()
    return agent, first._protocol.factory


def _note(event: LogEvent) -> None:
    if event.get("log_level", LogLevel.info) >= LogLevel.error:
        _errors.append(f"{formatEvent(event)} {event.get('log_failure')}")
