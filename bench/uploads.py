"""Uploads: beside `cp` of the same file, and what they take of memory."""

from __future__ import annotations

import http.client
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
    """Upload a file of random bytes and copy it, in turn, each to the disk."""
    file = directory / "large"
    pairs = []
    with agent.start(directory) as running:
        before = running.memory("VmRSS")
        for _ in range(size.rounds):
            # New content each time: an upload of known content would keep no second copy.
            with file.open("wb") as written:
                written.write(b"#!/bin/sh\n")
                for _ in range(size.upload_mib):
                    written.write(os.urandom(_BLOCK_BYTES))
                os.fsync(written.fileno())
            running.forget_peak()
            begin = time.perf_counter()
            _upload(running, file)
            uploaded = time.perf_counter()
            subprocess.run(["cp", file, directory / "copy"], check=True)
            subprocess.run(["sync", directory / "copy"], check=True)
            times = uploaded - begin, time.perf_counter() - uploaded
            pairs.append([size.upload_mib / seconds for seconds in times])
            (directory / "copy").unlink()
        growth = running.memory("VmHWM") - before
    ours, theirs = zip(*pairs, strict=True)
    yield Row.beside(f"upload of {size.upload_mib} MiB, beside cp", ours, "MiB/s", theirs, 0.3)
    yield Row("upload, growth of memory", growth, "MiB", target=16, at_least=False)


def _upload(running: agent.Agent, file: Path) -> None:
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
    connection.close()
