"""Load tests with the Python SDK as processes, driven by the agent's RPC client."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from unittest import mock

import pytest
from peers.lines import is_result
from peers.ports import connect, free_port
from peers.readme import PYTHON_TEMPLATE, aimed_at

from goloagent.netrpc import Client
from goloagent.sdk import reporting

ROOT = Path(__file__).parent.parent.parent
TIMEOUT_SECONDS = 60.0

THREADED = """
import itertools, sys, threading
from goloagent.sdk import report, serve
together = threading.Barrier(25)
numbers = itertools.count()
def run():
    number = next(numbers)
    together.wait(60)
    report(method="GET", url=f"http://x/{number}", status=200, duration_seconds=0.001)
    if number % 5 == 0:
        raise ValueError(f"number {number}")
serve(run)
print("served", file=sys.stderr)
"""

COROUTINE = """
import asyncio, itertools, sys
from goloagent.sdk import report, serve
numbers = itertools.count()
waiting = []
async def run():
    number = next(numbers)
    waiting.append(asyncio.get_running_loop().create_future())
    if len(waiting) == 25:
        for future in waiting:
            future.set_result(None)
        waiting.clear()
    else:
        await waiting[-1]
    report(method="GET", url=f"http://x/{number}", status=200, duration_seconds=0.001)
    if number % 5 == 0:
        raise ValueError(f"number {number}")
serve(run)
print("served", file=sys.stderr)
"""

SLOW_END = """
import os, signal, threading
from goloagent.sdk import report, serve
def run():
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(0.3)
    report(method="GET", url="late", status=200, duration_seconds=0.3)
serve(run)
"""


class Running:
    """A load test process with a connection to it."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self.process = process
        self.connection = connection
        self.client = Client()

    def call(self, count: int) -> tuple[int, list[str]]:
        """Make concurrent calls and wait; return the number of successes and the errors."""
        self.connection.sendall(self.client.calls("Server.Run", count))
        ok, errors = 0, []
        while self.client.in_flight:
            data = self.connection.recv(65536)
            assert data, "the load test closed the connection"
            replies = self.client.receive(data)
            ok += replies.ok
            errors += replies.errors
        return ok, errors

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[list[dict[str, Any]], str]:
        """Stop it by a signal, check its exit code, and return its results and stderr."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=TIMEOUT_SECONDS)
        assert self.process.returncode == 0, err.decode()
        lines = out.splitlines()
        assert all(is_result(line) for line in lines)
        return [json.loads(line) for line in lines], err.decode()


@contextmanager
def running(program: Path) -> Iterator[Running]:
    """Run a load test and connect to it once it listens."""
    port = free_port()
    environment = {"GOLO_RPC_ADDR": f"127.0.0.1:{port}", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, str(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        try:
            with connect(port, process, TIMEOUT_SECONDS) as connection:
                yield Running(process, connection)
        finally:
            process.kill()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Return the path of the load test's script."""
    return tmp_path / "loadtest.py"


@pytest.mark.parametrize("text", [THREADED, COROUTINE], ids=["threads", "coroutine"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_concurrent_calls(program: Path, text: str, number: signal.Signals) -> None:
    """25 concurrent calls are reported, errors reach the client, and a signal ends it."""
    program.write_text(text, encoding="utf-8")
    with running(program) as loadtest:
        for turn in range(4):
            ok, errors = loadtest.call(25)
            assert ok == 20
            assert sorted(errors) == sorted(f"number {n + 25 * turn}" for n in range(0, 25, 5))
        results, err = loadtest.end(number)
    assert {result["url"] for result in results} == {f"http://x/{n}" for n in range(100)}
    assert len(results) == len({result["sequenceID"] for result in results}) == 100
    assert err == "served\n"


def test_calls_in_flight_at_sigterm(program: Path) -> None:
    """A call in flight at SIGTERM reports its result and is answered."""
    program.write_text(SLOW_END, encoding="utf-8")
    with running(program) as loadtest:
        assert loadtest.call(1) == (1, [])
        out, err = loadtest.process.communicate(timeout=TIMEOUT_SECONDS)
    assert (loadtest.process.returncode, err) == (0, b"")
    assert json.loads(out)["url"] == "late"


def test_imports_are_few() -> None:
    """Importing the SDK imports neither Twisted nor asyncio."""
    script = "import sys, goloagent.sdk; print({'twisted', 'asyncio'} & set(sys.modules))"
    printed = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    assert printed.stdout == b"set()\n"


def test_the_example_reports_every_request(program: Path) -> None:
    """The example's requests are its results, on as many connections as users."""
    paths: list[str] = []
    connections: set[tuple[str, int]] = set()

    class Target(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            paths.append(self.path)
            connections.add(self.client_address)
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Target) as target:
        serving = threading.Thread(target=target.serve_forever)
        serving.start()
        url = f"http://127.0.0.1:{target.server_port}/page?a=1"
        text = PYTHON_TEMPLATE.read_text(encoding="utf-8")
        program.write_text(aimed_at(url, text), encoding="utf-8")
        with running(program) as loadtest:
            for _ in range(20):
                assert loadtest.call(10) == (10, [])
            results, err = loadtest.end()
        target.shutdown()
        serving.join()
    assert err == ""
    assert paths == ["/page?a=1"] * 200
    assert len(connections) <= 10
    assert len(results) == 200
    for result in results:
        assert (result["url"], result["status"], result["size"]) == (url, 200, 5)
        assert result["error"] is None
        assert result["duration"] > 0


def test_the_example_without_a_target(program: Path) -> None:
    """Without a target each call fails with the reason, and its request is a result."""
    url = f"http://127.0.0.1:{free_port()}/"
    text = PYTHON_TEMPLATE.read_text(encoding="utf-8")
    program.write_text(aimed_at(url, text), encoding="utf-8")
    with running(program) as loadtest:
        ok, errors = loadtest.call(3)
        results, _ = loadtest.end()
    assert ok == 0
    assert all("refused" in error for error in errors)
    assert [(result["status"], result["size"]) for result in results] == [(0, -1)] * 3
    assert all("ConnectionRefusedError" in result["error"] for result in results)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return a small pipe whose writing end is non-blocking."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    yield reading, writing
    for end in (reading, writing):
        with suppress(OSError):
            os.close(end)


def test_a_full_non_blocking_pipe(pipe: tuple[int, int]) -> None:
    """Long lines of several threads arrive whole although the pipe is smaller."""
    reading, writing = pipe
    writer = reporting.LineWriter(writing)
    lines = [str(number).encode() * 20_000 + b"\n" for number in range(8)]
    threads = [threading.Thread(target=writer.write, args=(line,)) for line in lines]
    for thread in threads:
        thread.start()
    expected = sum(map(len, lines))
    received = b""
    while len(received) < expected:
        received += os.read(reading, 65536)
    for thread in threads:
        thread.join()
    assert sorted(received.splitlines(keepends=True)) == sorted(lines)


def test_a_pipe_without_a_reader_is_an_error(pipe: tuple[int, int]) -> None:
    """A blocked write ends when the reader closes the pipe."""
    reading, writing = pipe
    writer = reporting.LineWriter(writing)
    os.write(writing, bytes(4096))
    closing = threading.Thread(target=os.close, args=(reading,))
    real_poll = select.poll

    def poll() -> select.poll:
        closing.start()
        return real_poll()

    with mock.patch.object(select, "poll", poll), pytest.raises(BrokenPipeError):
        writer.write(b"line\n")
    closing.join()


def test_a_write_that_fails_within_a_line(pipe: tuple[int, int]) -> None:
    """The next write completes a partial line; a line without a written byte is dropped."""
    reading, writing = pipe
    writer = reporting.LineWriter(writing)
    results: list[object] = [5, KeyboardInterrupt()]
    real_write = os.write

    def write(descriptor: int, data: bytes) -> int:
        step = results.pop(0) if results else len(data)
        if isinstance(step, BaseException):
            raise step
        return real_write(descriptor, data[: cast(int, step)])

    with mock.patch.object(os, "write", write):
        with pytest.raises(KeyboardInterrupt):
            writer.write(b"the first line\n")
        results.append(OSError("full"))
        with pytest.raises(OSError, match="full"):
            writer.write(b"the second line\n")
        writer.write(b"the third line\n")
    assert os.read(reading, 4096) == b"the first line\nthe third line\n"


def test_a_fork_while_a_thread_writes(pipe: tuple[int, int]) -> None:
    """The child has its own lock, and the parent completes its own line."""
    reading, writing = pipe
    writer = reporting.LineWriter(writing)
    real_write = os.write

    def write(descriptor: int, data: bytes) -> int:
        """Write half of the line, then fork: the parent continues, the child reports."""
        if data != b"parent\n":
            return real_write(descriptor, data)
        written = real_write(descriptor, data[:3])
        child = os.fork()
        if child == 0:
            writer.write(b"child\n")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        return written

    with mock.patch.object(os, "write", write):
        writer.write(b"parent\n")
    assert os.read(reading, 4096) == b"parchild\nent\n"
