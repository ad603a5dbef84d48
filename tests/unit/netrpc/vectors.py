"""Reads tests/vectors/netrpc.txt: what Go's own client and server wrote to each other."""

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
    """One call: what the client wrote, what the server wrote, the error that Call returned."""

    method: str
    sequence: int
    request: bytes
    reply: bytes
    error: str | None


def exchanges() -> list[Exchange]:
    """Read all recorded calls, in order, of one connection."""
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
    """Read Go's replies of every shape: by method, three replies as one connection had them."""
    lines = _FILE.with_name("netrpc_replies.txt").read_text(encoding="utf-8").splitlines()
    fields = [line.split(" ") for line in lines if line and not line.startswith("#")]
    return {method: bytes.fromhex(digits) for method, digits in fields}
