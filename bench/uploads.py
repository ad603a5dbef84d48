"""Uploads: their rate compared with `cp` of the same file, and their memory."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench import agent
from bench.row import Row
from bench.size import Size

_BLOCK_BYTES = 1 << 20
_BOUNDARY = "----------------bench"


def measure(directory: Path, size: Size) -> Iterator[Row]:
    """Upload a file of random bytes and copy it, alternating, both synced to the disk."""
    agent.need_disk(directory, 3 * size.upload_mib * _BLOCK_BYTES)
    file = directory / "large"
    pairs, lags = [], []
    with agent.start(directory, max_upload="2GiB") as running:
        running.upload(_small(directory))  # so that imports and caches do not count as growth
        before = running.memory("VmRSS")
        running.reset_peak()
        for _ in range(size.rounds):
            _write(file, size.upload_mib)
            _copy(file)  # each after a copy, which leaves free memory in the same state
            late, begin = running.lags(), time.perf_counter()
            binary = _upload(running, file)
            uploaded = time.perf_counter() - begin
            lags.append(agent.lag_within(1, late, running.lags()))
            growth = running.memory("VmHWM") - before
            _copy(file)
            begin = time.perf_counter()
            _copy(file)
            pairs.append(
                (size.upload_mib / uploaded, size.upload_mib / (time.perf_counter() - begin))
            )
            running.ask("DELETE", f"/binaries/{binary}")
    ours, theirs = zip(*pairs, strict=True)
    yield Row.compared(
        f"upload of {size.upload_mib} MiB, relative to cp", ours, "MiB/s", theirs, 0.3
    )
    yield Row("upload, growth of memory", growth, "MiB", target=16, at_least=False)
    lag = max(lags) * 1e3
    yield Row("upload, event-loop lag, at most", lag, "ms", target=100, at_least=False)


def _write(file: Path, mib: int) -> None:
    # New content each time, because known content would not be stored again.
    with file.open("wb") as written:
        written.write(b"#!/bin/sh\n")
        for _ in range(mib):
            written.write(os.urandom(_BLOCK_BYTES))
        os.fsync(written.fileno())


def _small(directory: Path) -> Path:
    file = directory / "small"
    file.write_bytes(b"#!/bin/sh\n")
    return file


def _copy(file: Path) -> None:
    """Copy a file to the disk and remove the copy."""
    copy = file.with_suffix(".copy")
    subprocess.run(["cp", file, copy], check=True)
    subprocess.run(["sync", copy], check=True)
    copy.unlink()


def _upload(running: agent.Agent, file: Path) -> str:
    head, _, tail = agent.form(_BOUNDARY, "large", [b""])
    host, _, port = running.address.partition(":")
    connection = http.client.HTTPConnection(host, int(port))
    connection.putrequest("POST", "/upload")
    connection.putheader("Content-Type", f"multipart/form-data; boundary={_BOUNDARY}")
    connection.putheader("Content-Length", str(len(head) + file.stat().st_size + len(tail)))
    connection.endheaders(head)
    with file.open("rb") as source:
        connection.sock.sendfile(source)
    connection.send(tail)
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"the upload was answered {answer.status}: {answer.read()!r}")
    binary: str = json.loads(answer.read())["binary"]
    connection.close()
    return binary
