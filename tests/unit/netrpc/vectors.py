"""Recorded bytes of Go's client and server, in tests/vectors/netrpc.txt."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

_FILE = Path(__file__).parent.parent.parent / "vectors" / "netrpc.txt"
_BLOCK = re.compile(
    r"call (?P<method>\S+) seq (?P<sequence>\d+)\n> (?P<request>\w+)\n< (?P<reply>\w+)\n"
    r'= (?:ok|error "(?P<error>.*)")'
)


@attrs.frozen
class Exchange:
    """The bytes of one call and its reply, and the error that Call returned."""

    method: str
    sequence: int
    request: bytes
    reply: bytes
    error: str | None


def exchanges() -> list[Exchange]:
    """Return the recorded calls of one connection, in order."""
    return [
        Exchange(
            block["method"],
            int(block["sequence"]),
            bytes.fromhex(block["request"]),
            bytes.fromhex(block["reply"]),
            block["error"],
        )
        for block in _BLOCK.finditer(_FILE.read_text(encoding="utf-8"))
    ]


def shapes() -> dict[str, bytes]:
    """Return Go's replies of every shape: by method, three replies of one connection."""
    lines = _FILE.with_name("netrpc_replies.txt").read_text(encoding="utf-8").splitlines()
    fields = [line.split(" ") for line in lines if line and not line.startswith("#")]
    return {method: bytes.fromhex(digits) for method, digits in fields}
