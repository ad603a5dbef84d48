"""Measure the latency of an agent's /health, in a separate process.

    python prober.py PORT SECONDS

It sends a request every 10 ms over one connection, and prints the latencies in milliseconds as a
JSON array.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time

_EVERY_SECONDS = 0.01


def main(port: int, seconds: float) -> None:
    """Send requests for a number of seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    wait = threading.Event().wait
    took = []
    end = time.perf_counter() + seconds
    while (begin := time.perf_counter()) < end:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        took.append(1000 * (time.perf_counter() - begin))
        wait(_EVERY_SECONDS)
    print(json.dumps(took))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
