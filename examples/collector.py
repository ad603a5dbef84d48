"""A small collector that stores results: ``python examples/collector.py --help``.

``POST /push/<name>`` takes a JSON array of results, as golo-agent sends them, and appends each as a
line to ``<directory>/<name>.jsonl``. It responds 200 after they are synced to disk, and stores each
result once: golo-agent repeats a batch if a response was lost, perhaps in other pieces. Results
without a response before a crash are removed at the next start, because the agent sends them again.

``GET /summary/<name>`` returns, as JSON, the number of results and errors of a name, the seconds
that they cover, and latencies in milliseconds.

It needs Python 3.10 or newer and no package. It has no authentication: every client may push.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import socket
import sys
import threading
from bisect import bisect_right
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

MAX_BODY_BYTES = 64 * 1024**2
IDLE_SECONDS = 120


class Refused(Exception):
    """A request is refused, with a status and a sentence."""


class Results:
    """The results of one name: ``<name>.jsonl``, and ``<name>.index`` with a line for each batch.

    A line of the index has the job, the byte of its out.log at which the batch ends, how many
    results of the job are stored up to there, and the size of the results' file with them.
    """

    def __init__(self, directory: Path, name: str) -> None:
        stem = quote(name, safe="")
        self.path = directory / f"{stem}.jsonl"
        self._index_path = directory / f"{stem}.index"
        self._results = self.path.open("ab", buffering=0)
        self._index = self._index_path.open("ab", buffering=0)
        # By job: the ends of batches in its out.log, and the number of results stored up to each.
        self._ends: dict[str, list[int]] = {}
        self._counts: dict[str, list[int]] = {}
        self._size = 0
        self._recover()
        _sync_directory(directory)

    def push(self, key: str | None, results: list[bytes]) -> int:
        """Store the new results of a batch and return their number.

        `key` is ``<job id>/<first byte>-<last byte>`` of the job's out.log. A job's results come in
        order, so repeated results are the first ones of a batch.

        Raises:
            OSError: the disk failed, and nothing of the batch is stored.
        """
        job, first, last = _parse_key(key)
        ends, counts = self._ends.setdefault(job, []), self._counts.setdefault(job, [])
        place = bisect_right(ends, first)
        before = counts[place - 1] if place else 0
        repeated = max(0, counts[-1] - before) if counts and key is not None else 0
        new = results[repeated:]
        self._append(b"".join(line + b"\n" for line in new), job, last + 1, before + len(results))
        if key is not None:
            self._note(job, last + 1, before + len(results))
        return len(new)

    def _append(self, lines: bytes, job: str, end: int, count: int) -> None:
        size = self._size + len(lines)
        entry = f"{job}\t{end}\t{count}\t{size}\n".encode()
        index_size = self._index.tell()
        try:
            _write(self._results, lines)
            _write(self._index, entry)
        except OSError:
            with suppress(OSError):
                self._results.truncate(self._size)
                self._index.truncate(index_size)
            raise
        self._size = size

    def _note(self, job: str, end: int, count: int) -> None:
        """Record the number of results of a job that are stored up to a byte of its out.log."""
        ends, counts = self._ends[job], self._counts[job]
        place = bisect_right(ends, end)
        if not place or ends[place - 1] != end:
            ends.insert(place, end)
            # A repeated batch may end within a stored one.
            counts.insert(place, count)

    def _recover(self) -> None:
        """Read the index and truncate both files after its last whole line."""
        whole = 0
        for line in self._index_path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            job, end, count, size = line.decode().rstrip("\n").split("\t")
            self._size = int(size)
            whole += len(line)
            if job:
                self._ends.setdefault(job, [])
                self._counts.setdefault(job, [])
                self._note(job, int(end), int(count))
        self._index.truncate(whole)
        self._results.truncate(self._size)


def _write(file: Any, data: bytes) -> None:
    """Write all of `data` and sync it."""
    while data:
        data = data[file.write(data) :]
    os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parse_key(key: str | None) -> tuple[str, int, int]:
    """Return the job, the first byte and the last; a batch without a key belongs to no job."""
    if key is None:
        return "", 0, 0
    job, _, span = key.rpartition("/")
    first, _, last = span.partition("-")
    if not (job and first.isdecimal() and last.isdecimal()) or "\t" in job:
        raise Refused(400, f"Idempotency-Key {key!r} is not <job id>/<first byte>-<last byte>")
    return job, int(first), int(last)


def elements(body: bytes) -> list[bytes]:
    """Return each element of a JSON array as a line, as it was sent.

    Raises:
        Refused: the body is not a JSON array of objects.
    """
    try:
        text = body.decode()
        decoder, found, position = json.JSONDecoder(), [], _skip(text, 0)
        if text[position : position + 1] != "[":
            raise ValueError("it does not begin with [")
        position = _skip(text, position + 1)
        while text[position : position + 1] != "]" or found:
            value, end = decoder.raw_decode(text, position)
            if not isinstance(value, dict):
                raise ValueError("an element is not an object")
            found.append(text[position:end].replace("\n", " ").replace("\r", " ").encode())
            position = _skip(text, end)
            if text[position : position + 1] == "]":
                break
            if text[position : position + 1] != ",":
                raise ValueError(f"no comma at character {position}")
            position = _skip(text, position + 1)
        if _skip(text, position + 1) != len(text):
            raise ValueError("it goes on after ]")
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is not a JSON array of results: {error}") from None
    return found


def _skip(text: str, position: int) -> int:
    """Return the position of the next character that is not white space."""
    while text[position : position + 1] in (" ", "\t", "\r", "\n"):
        position += 1
    return position


def summary(results: Iterable[dict[str, Any]]) -> dict[str, float | None]:
    """Return counts, the seconds from the first result to the last, and percentiles in ms."""
    milliseconds, times, errors = [], [], 0
    for result in results:
        milliseconds.append(result.get("duration", 0) / 1e6)
        times.append(datetime.fromisoformat(_microseconds(result["timestamp"])))
        errors += result.get("error") is not None or not 0 < result.get("status", 0) < 400
    milliseconds.sort()

    def percentile(percent: float) -> float | None:
        """Return the smallest latency that `percent` of all results do not exceed."""
        if not milliseconds:
            return None
        return milliseconds[math.ceil(len(milliseconds) * percent / 100) - 1]

    return {
        "results": len(times),
        "errors": errors,
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


class Collector(ThreadingHTTPServer):
    """An HTTP server that stores results below `directory`."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], directory: Path) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, Handler)
        self._directory = directory
        self._names: dict[str, Results] = {}
        self._lock = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an error, but not that a client has closed its connection."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def push(self, name: str, key: str | None, results: list[bytes]) -> int:
        """Store a batch and return the number of its new results."""
        with self._lock:
            try:
                return self._open(name).push(key, results)
            except OSError:
                # The next push reads the files again.
                self._names.pop(name, None)
                raise

    def summary(self, name: str) -> dict[str, float | None]:
        """Sum up what a name has received."""
        with self._lock:
            lines = self._open(name).path.read_bytes().splitlines()
        return summary(map(json.loads, lines))

    def _open(self, name: str) -> Results:
        if name not in self._names:
            self._names[name] = Results(self._directory, name)
        return self._names[name]


class Handler(BaseHTTPRequestHandler):
    """Handle the requests of one client."""

    server: Collector
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    wbufsize = -1  # send a response in one piece

    def do_POST(self) -> None:
        """Store a batch."""
        try:
            length = self.headers["Content-Length"] or ""
            if not length.isdecimal():
                raise Refused(411, "Content-Length is missing")
            if int(length) > MAX_BODY_BYTES:
                raise Refused(413, f"the body is longer than {MAX_BODY_BYTES} bytes")
            name = self._name("push")
            results = elements(self.rfile.read(int(length)))
            new = self.server.push(name, self.headers["Idempotency-Key"], results)
            self._answer(200, f"{new} of {len(results)} results are new\n")
        except Refused as refused:
            status, sentence = refused.args
            self.close_connection = True  # the body may not have been read
            self._answer(status, sentence + "\n")
        except OSError as error:
            self._answer(503, f"not stored: {error}\n")

    def do_GET(self) -> None:
        """Sum up what a name has received."""
        try:
            self._answer(200, json.dumps(self.server.summary(self._name("summary"))) + "\n")
        except Refused as refused:
            self._answer(refused.args[0], refused.args[1] + "\n")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log refusals only."""
        if code != 200:
            super().log_request(code, size)

    def _name(self, verb: str) -> str:
        _, given, *rest = self.path.split("/")
        if given != verb or len(rest) != 1 or not rest[0]:
            raise Refused(404, f"{self.path} does not exist; use /push/<name> or /summary/<name>")
        return unquote(rest[0])

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


def main() -> None:
    """Listen, print the URL as the first line of stdout, and serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="Keeps results of golo-agent as JSON lines.")
    parser.add_argument("port", nargs="?", type=int, default=8082, help="0: any free one (8082)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument(
        "--directory", type=Path, default=Path("results"), help="directory of the results (results)"
    )
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Collector((options.host, options.port), options.directory) as collector:
        host = f"[{options.host}]" if ":" in options.host else options.host
        print(f"http://{host}:{collector.server_port}", flush=True)
        with suppress(KeyboardInterrupt):
            collector.serve_forever()


if __name__ == "__main__":
    main()
