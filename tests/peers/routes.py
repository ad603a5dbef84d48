"""A target with one route for each way in which a request can go, which notes what it served."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = b"hello world " * 1000


class Routes(ThreadingHTTPServer):
    """The target; `served` has the method and path of each request."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.served: list[tuple[str, str]] = []
        self.cookies: list[str | None] = []
        self.closing = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing when a client is gone."""


class _Handler(BaseHTTPRequestHandler):
    server: Routes
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        self.server.served.append((self.command, self.path))
        name, _, rest = self.path.partition("?")[0][1:].partition("/")
        route = getattr(self, f"_{name}", None)
        if route is None:
            self._answer(200, BODY)
        else:
            route(rest)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _status(self, number: str) -> None:
        self._answer(int(number), b"body")

    def _redirect(self, count: str) -> None:
        """Redirect so many times, then to /end; -1 is to itself."""
        left = int(count)
        to = "/end" if left == 1 else f"/redirect/{max(left - 1, -1)}"
        self._answer(302, b"moved", Location=to)

    def _elsewhere(self, _: str) -> None:
        """Redirect to an address that does not answer."""
        self._answer(302, b"moved", Location="http://127.0.0.1:1/refused")

    def _slow(self, _: str) -> None:
        """Answer only when the test is over."""
        self.server.closing.wait(60)
        self.close_connection = True

    def _stall(self, _: str) -> None:
        """Send half of the body."""
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(bytes(50))
        self.wfile.flush()
        self.server.closing.wait(60)
        self.close_connection = True

    def _cut(self, _: str) -> None:
        """Close the connection within the body."""
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(bytes(50))
        self.close_connection = True

    def _chunked(self, _: str) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in (BODY[:5000], BODY[5000:]):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def _gzip(self, _: str) -> None:
        self._answer(200, gzip.compress(BODY, mtime=0), Content_Encoding="gzip")

    def _cookie(self, _: str) -> None:
        """Set a cookie, and note the one that came."""
        self.server.cookies.append(self.headers.get("Cookie"))
        self._answer(200, b"body", Set_Cookie="session=1")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serving_routes() -> Iterator[Routes]:
    """Run the target in a thread."""
    with Routes() as target:
        thread = threading.Thread(target=target.serve_forever)
        thread.start()
        yield target
        target.closing.set()
        target.shutdown()
        thread.join()
