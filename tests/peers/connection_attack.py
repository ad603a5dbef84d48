"""Attack an agent's connections from many loopback addresses until stdin is closed.

Usage: connection_attack.py PORT silent|dripping|flood|pipeline|refused
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

CONNECTIONS = 256
ADDRESSES = 38
FLOOD = 1200
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPLOAD = (
    b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
)
BLOCK = bytes(65536)


def addresses() -> Iterator[str]:
    """Yield loopback addresses in a cycle."""
    while True:
        for number in range(2, 2 + ADDRESSES):
            yield f"127.0.0.{number}"


class Attacker:
    """Keeps `count` connections open; `talk` sends on a writable one."""

    def __init__(self, port: int, count: int, talk: Callable[[socket.socket], None]) -> None:
        self._port = port
        self._talk = talk
        self._selector = selectors.DefaultSelector()
        self._addresses = addresses()
        for _ in range(count):
            self._connect()

    def step(self) -> None:
        """Use each ready connection once, and replace closed ones."""
        for key, events in self._selector.select(0.05):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            try:
                if events & selectors.EVENT_WRITE:
                    self._talk(connection)
                if events & selectors.EVENT_READ and not self._reads(connection):
                    raise ConnectionResetError
            except BlockingIOError:
                pass
            except OSError:
                self._selector.unregister(connection)
                connection.close()
                self._connect()

    def _reads(self, connection: socket.socket) -> bytes:
        return connection.recv(65536)

    def _connect(self) -> None:
        connection = socket.socket()
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            connection.bind((next(self._addresses), 0))
            connection.connect(("127.0.0.1", self._port))
        self._selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)


class NotReading(Attacker):
    """An attacker that reads nothing."""

    def _reads(self, connection: socket.socket) -> bytes:
        return b"nothing"


class Parts:
    """Sends parts in order on each connection, one every `seconds`, then `again` repeatedly."""

    def __init__(self, parts: tuple[bytes, ...], again: bytes, seconds: float) -> None:
        self._parts, self._again, self._seconds = parts, again, seconds
        self._sent: dict[int, tuple[int, float]] = {}

    def __call__(self, connection: socket.socket) -> None:
        """Send the next part if it is due."""
        key = hash(connection)
        count, before = self._sent.get(key, (0, 0.0))
        now = time.monotonic()
        if now - before >= self._seconds:
            part = self._parts[count] if count < len(self._parts) else self._again
            connection.send(part)
            self._sent[key] = (count + 1, now)


def main() -> None:
    """Run one attack."""
    port, attack = int(sys.argv[1]), sys.argv[2]
    attacker = {
        "silent": lambda: Attacker(port, CONNECTIONS, lambda connection: None),
        "flood": lambda: Attacker(port, FLOOD, lambda connection: None),
        "dripping": lambda: Attacker(port, CONNECTIONS, Parts((GET[:9],), b"X", 0.2)),
        "refused": lambda: NotReading(port, CONNECTIONS, Parts((UPLOAD,), BLOCK, 0)),
        "pipeline": lambda: NotReading(port, 24, Parts((), GET * 1500, 0)),
    }[attack]()
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    print("ready", flush=True)
    while not over.is_set():
        attacker.step()
        time.sleep(0.001)


if __name__ == "__main__":
    main()
