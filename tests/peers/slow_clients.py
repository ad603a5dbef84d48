"""Clients on plain sockets from any loopback address, in threads.

Twisted's clients would share the test's reactor, and measure it instead of the agent.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

Result = TypeVar("Result")

DRIP_SECONDS = 0.25
# The agent waits for headers for 10 s, and a busy machine adds to it.
_TIMEOUT_SECONDS = 60
_DRIPS = b"GET /health HTTP/1.1\r\nX: " + b"x" * 10000
_HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class SlowClients:
    """Connections from one address; some are silent, others send headers byte by byte."""

    def __init__(self, port: int, address: str, idle: int, dripping: int) -> None:
        self._sockets = []
        self._dripping = []
        for number in range(idle + dripping):
            client = socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS, (address, 0))
            self._sockets.append(client)
            if number % ((idle + dripping) // dripping) == 0:
                client.send(_DRIPS[:1])
                self._dripping.append(client)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._drip)
        self._thread.start()

    def ended(self) -> list[bytes]:
        """Wait until the agent has closed all connections; return the data of each."""
        return [_read(client) for client in self._sockets]

    def close(self) -> None:
        """Close the connections."""
        self._over.set()
        self._thread.join()
        for client in self._sockets:
            client.close()

    def _drip(self) -> None:
        for byte in _DRIPS[1:]:
            for client in self._dripping:
                with contextlib.suppress(OSError):
                    client.send(bytes([byte]))
            if self._over.wait(DRIP_SECONDS):
                return


def ask_health(port: int, address: str = "127.0.0.2", path: str = "/health") -> tuple[int, float]:
    """Return the status of a GET and the seconds that it took with its connection."""
    start = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS, (address, 0)) as client:
        client.sendall(_HEALTH.replace(b"/health", path.encode()))
        answer = _read(client)
    status = int(answer.split(b" ", 2)[1]) if answer else 0
    return status, time.perf_counter() - start


@contextlib.contextmanager
def repeating(call: Callable[[], Result], pause_seconds: float = 0.0) -> Iterator[list[Result]]:
    """Call a function repeatedly in a thread; yield the growing list of results."""
    results = [call()]
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(pause_seconds):
            results.append(call())

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield results
    finally:
        over.set()
        thread.join()


class Upload:
    """One upload of `size` bytes, sent in parts."""

    HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n#!/bin/sh\n'
    END = b"\r\n--b--\r\n"
    BLOCK = bytes(1 << 20)

    def __init__(self, port: int, size: int) -> None:
        self._left = size - len(self.HEAD) - len(self.END)
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._http.putrequest("POST", "/upload")
        self._http.putheader("Content-Type", "multipart/form-data; boundary=b")
        self._http.putheader("Content-Length", str(size))
        self._http.endheaders(self.HEAD)

    def send(self, count: int) -> None:
        """Send the next bytes of the file."""
        self._left -= count
        while count > 0:
            block = self.BLOCK[:count]
            self._http.send(block)
            count -= len(block)

    def finish(self) -> tuple[int, bytes]:
        """Send the rest; return the status and body of the response."""
        self.send(self._left)
        self._http.send(self.END)
        answer = self._http.getresponse()
        return answer.status, answer.read()

    def cut(self) -> None:
        """Close the connection."""
        self._http.close()


def _read(client: Any) -> bytes:
    """Return all data until the peer closes."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := client.recv(65536):
            received += data
    return received
