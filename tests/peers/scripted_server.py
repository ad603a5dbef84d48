"""A TCP server that handles each connection by a function, in a thread."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress

Handler = Callable[["Peer"], None]


class Peer:
    """The server's end of one connection; `number` counts connections from 1."""

    def __init__(self, connection: socket.socket, number: int, server: ScriptedServer) -> None:
        self.number = number
        self._connection = connection
        self._server = server
        self._buffer = b""

    def request(self) -> bytes:
        """Read a request without a body; return it, or nothing if the peer has closed."""
        while b"\r\n\r\n" not in self._buffer:
            data = self._connection.recv(65536)
            if not data:
                return b""
            self._buffer += data
        request, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        self._server.requests.append(request)
        return request

    def read(self) -> bytes:
        """Read some bytes."""
        return self._connection.recv(65536)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._connection.sendall(data)


class ScriptedServer:
    """Listens on a free port in a `with` block; `requests` has those that were read."""

    def __init__(
        self, handler: Handler, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self._handler = handler
        self._tls = tls
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=1024)
        shown = f"[{host}]" if ":" in host else host
        port = self._listener.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://{shown}:{port}/"
        self.requests: list[bytes] = []
        self.connections = 0

    def __enter__(self) -> ScriptedServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                arguments = (connection, self.connections)
                threading.Thread(target=self._handle, args=arguments, daemon=True).start()

    def _handle(self, connection: socket.socket, number: int) -> None:
        # The peer may close at any time.
        with suppress(OSError), connection:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                self._handler(Peer(connection, number, self))
