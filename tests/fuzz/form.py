"""The body of an upload: multipart/form-data, of which one part becomes a binary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from unit.http import golo_cli

from fuzz import cut, pieces
from goloagent.artifacts.pending_upload import NotExecutable
from goloagent.http.problem import Problem
from goloagent.http.upload.form import UploadBody

BOUNDARY = b"b"


class MemoryUpload:
    """An upload in memory, with the checks of the agent."""

    def __init__(self) -> None:
        self.id = str(UUID(int=0))
        self.content = b""
        self.is_closed = False

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.content += data

    def commit(self) -> MemoryUpload:
        self.is_closed = True
        if not self.content.startswith((b"\x7fELF", b"#!")):
            raise NotExecutable("not an executable")
        return self

    def discard(self) -> None:
        self.is_closed = True


class MemoryStore:
    """Receives uploads in memory."""

    incoming = "incoming"

    def __init__(self) -> None:
        self.received: list[MemoryUpload] = []

    def receive(self, name: str, is_program: bool) -> MemoryUpload:
        self.received.append(MemoryUpload())
        return self.received[-1]


def seeds() -> Iterator[bytes]:
    """Yield forms as clients write them, and near misses."""
    head = b'Content-Disposition: form-data; name="file"; filename="f"\r\n'
    cli = golo_cli.upload(b"#!/bin/sh\n", BOUNDARY).partition(b"\r\n\r\n")[2]
    for body in (
        cli,
        b'--b\r\nContent-Disposition: form-data; name="n"\r\n\r\nv\r\n' + cli,
        cli[:-9] + b"\r\n" + cli,
        b"--b\r\n" + head + b"Content-Type: text/plain\r\n\r\n#!\r\n--b-\r\n--b--",
        b"--b\r\n" + head.replace(b'"f"', b"f; filename*=UTF-8''%ff") + b"\r\n#!\r\n--b--\r\n",
        b"preamble\r\n--b\r\n" + head + b"\r\n\x7fELF\x00\r\r\n\n\r\n--b--\r\nepilogue",
        b"--b--\r\n",
    ):
        yield b"\x00" + body
        yield b"\x40" + body


def check(data: bytes) -> None:
    """Parse it whole and in pieces: both give the same file or status, and close every upload."""
    body, size = cut(data)
    whole = upload(body, len(body) + 1)
    assert whole == upload(body, size), (whole, upload(body, size))
    if isinstance(whole, bytes):
        assert whole in body


def upload(body: bytes, size: int) -> bytes | int:
    """Return the file, or the status of the problem."""
    store: Any = MemoryStore()
    body_parser = UploadBody(f"multipart/form-data; boundary={BOUNDARY.decode()}", store)
    try:
        for piece in pieces(body, size):
            body_parser.feed(piece)
        stored: Any = body_parser.finish()
    except Problem as problem:
        status = problem.status
    else:
        assert [stored] == store.received
        content: bytes = stored.content
        return content
    assert status == 400
    assert all(upload.is_closed for upload in store.received)
    return status
