"""Reads the bearer token from its file: one line that fits into an HTTP header."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from goloagent.host.startup_error import StartupError, reason

MAX_TOKEN_BYTES = 4096
# O_NONBLOCK, because opening a FIFO would block.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


def read_token(path: Path | None) -> bytes | None:
    """Return the token in the file at `path`, stripped; None without a path.

    Raises:
        StartupError: the file cannot be read, or its content is not a token.
    """
    if path is None:
        return None
    try:
        descriptor = os.open(path, _READ)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StartupError(f"--token-file {path}: it is not a regular file")
            content = file.read(MAX_TOKEN_BYTES + 1)
    except OSError as error:
        raise StartupError(f"--token-file {path}: {reason(error)}") from None
    fault = _fault(content)
    if fault is not None:
        raise StartupError(
            f"--token-file {path}: it {fault}; write one line of printable ASCII into it"
        )
    return content.strip()


def _fault(content: bytes) -> str | None:
    """Return what is wrong with the content of a token file, as a predicate, or None."""
    token = content.strip()
    if not token:
        return "is empty"
    if len(content) > MAX_TOKEN_BYTES:
        return f"has more than {MAX_TOKEN_BYTES} bytes"
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return "starts with a byte order mark"
    if len(token.splitlines()) > 1:
        return "has more than one line"
    if not all(0x20 <= byte < 0x7F for byte in token):
        return "has characters that are not printable ASCII"
    return None
