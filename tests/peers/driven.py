"""A bundled load test as a process, called by the agent's RPC client."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from goloagent import loadtests
from goloagent.netrpc import Client
from peers.lines import is_result
from peers.ports import connect, free_port

TIMEOUT_SECONDS = 60.0
STDOUT = "stdout"


class Driven:
    """A load test and a connection to it."""

    def __init__(
        self, process: subprocess.Popen[bytes], connection: socket.socket, stdout: Path
    ) -> None:
        self.process = process
        self._stdout = stdout
        self._connection = connection
        self._client = Client()

    def call(self, number: int = 1) -> list[str]:
        """Make concurrent calls, wait for their replies, and return the errors."""
        self.start(number)
        return self.replies()

    def start(self, number: int) -> None:
        """Make concurrent calls without waiting."""
        self._connection.sendall(self._client.calls("Server.Run", number))

    def replies(self) -> list[str]:
        """Wait for all replies, and return the errors."""
        errors: list[str] = []
        while self._client.in_flight:
            data = self._connection.recv(65536)
            assert data, "the load test closed the connection"
            errors += self._client.receive(data).errors
        return errors

    def end(self) -> tuple[list[dict[str, Any]], str]:
        """Send SIGTERM, check the exit code, and return the results and stderr."""
        self.process.terminate()
        _, err = self.process.communicate(timeout=TIMEOUT_SECONDS)
        assert self.process.returncode == 0, err.decode()
        lines = self._stdout.read_bytes().splitlines()
        assert all(is_result(line) for line in lines)
        return [json.loads(line) for line in lines], err.decode()

    @property
    def descriptors(self) -> int:
        """The number of its open descriptors."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))  # noqa: PTH208

    @property
    def peak_bytes(self) -> int:
        """The most memory that it had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024


def launch(
    directory: Path, name: str, *arguments: str, port: int = 0, **variables: str
) -> subprocess.Popen[bytes]:
    """Start a bundled load test, which serves on `port` and prints to the file `stdout`."""
    path = directory / name
    path.write_bytes(loadtests.source(name, f"{sys.executable} -S"))
    path.chmod(0o700)
    with (directory / STDOUT).open("wb") as stdout:  # a pipe would become full
        return subprocess.Popen(
            [path, *arguments],
            stdout=stdout,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "GOLO_RPC_ADDR": f"127.0.0.1:{port}", **variables},
        )


@contextmanager
def driven(directory: Path, name: str, *arguments: str, **variables: str) -> Iterator[Driven]:
    """Run a bundled load test, and connect to it."""
    port = free_port()
    with launch(directory, name, *arguments, port=port, **variables) as process:
        try:
            with connect(port, process, TIMEOUT_SECONDS) as connection:
                yield Driven(process, connection, directory / STDOUT)
        finally:
            process.kill()
