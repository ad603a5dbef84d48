"""A small collector of results: ``python examples/collector.py PORT`` (0: any free port).

``POST /push/<name>`` takes a JSON array of results, as golo-agent sends them.
``GET /summary/<name>`` tells what a name has received: how many results and errors, over how many
seconds, and latencies in milliseconds.
"""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from datetime import datetime
from typing import Any

from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Request, Site


class Collector(Resource):
    """Keeps every result in memory, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.isLeaf = True
        self._results: dict[bytes, list[dict[str, Any]]] = defaultdict(list)

    def render_POST(self, request: Request) -> bytes:  # noqa: N802
        """Take a batch."""
        self._results[_name(request, b"push")].extend(json.loads(request.content.read()))
        return b""

    def render_GET(self, request: Request) -> bytes:  # noqa: N802
        """Sum up what a name has received."""
        return json.dumps(summary(self._results[_name(request, b"summary")])).encode()


def _name(request: Request, verb: bytes) -> bytes:
    _, given, name = request.path.split(b"/")
    if given != verb:
        raise ValueError(f"no such path: {request.path!r}")
    return name


def summary(results: list[dict[str, Any]]) -> dict[str, float | None]:
    """Return counts, the seconds from the first result to the last, and percentiles in ms."""
    milliseconds = sorted(result["duration"] / 1e6 for result in results)
    times = [datetime.fromisoformat(_microseconds(result["timestamp"])) for result in results]

    def percentile(percent: float) -> float | None:
        """Return the smallest latency that `percent` of all results do not exceed."""
        return (
            milliseconds[math.ceil(len(milliseconds) * percent / 100) - 1] if milliseconds else None
        )

    return {
        "results": len(results),
        "errors": sum(
            result.get("error") is not None or result["status"] >= 400 for result in results
        ),
        "seconds": (max(times) - min(times)).total_seconds() if times else 0.0,
        "p50": percentile(50),
        "p95": percentile(95),
        "p99": percentile(99),
    }


def _microseconds(timestamp: str) -> str:
    """Cut an RFC 3339 time to what every Python here reads: six digits, and an offset for Z."""
    seconds, _, rest = timestamp.replace("Z", "+00:00").partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return f"{seconds}.{digits[:6]:0<6}{rest[len(digits) :]}" if rest else seconds


def main() -> None:
    """Listen, say where on the first line of stdout, and serve until SIGTERM."""
    port = reactor.listenTCP(int(sys.argv[1]), Site(Collector()), interface="127.0.0.1")
    print(f"http://127.0.0.1:{port.getHost().port}", flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
