"""A program that asks an agent for /health and measures: a process of its own, waiting for nobody.

    python prober.py PORT SECONDS

It asks every 10 ms over one connection, and prints how long each answer took, in milliseconds, as a
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
    """Ask for so long."""
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
