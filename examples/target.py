"""A small HTTP server to aim a load test at: ``python examples/target.py PORT`` (0: any free port).

It responds to every ``GET`` with a few bytes and counts it. ``GET /served`` returns the count and
is not counted.
"""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Request, Site


class Target(Resource):
    """Serve and count requests."""

    def __init__(self) -> None:
        super().__init__()
        self.isLeaf = True
        self.served = 0

    def render_GET(self, request: Request) -> bytes:  # noqa: N802
        """Serve one request."""
        if request.path == b"/served":
            return str(self.served).encode()
        self.served += 1
        return b"hello from the target\n"


def main() -> None:
    """Listen, print the URL as the first line of stdout, and serve until SIGTERM."""
    site = Site(Target())
    port = reactor.listenTCP(int(sys.argv[1]), site, interface="127.0.0.1", backlog=1024)
    print(f"http://127.0.0.1:{port.getHost().port}", flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
