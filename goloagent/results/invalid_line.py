"""The reason why a line is not a result, for the author of the load test.

It is found once a run, for the first such line.
"""

from __future__ import annotations

import attrs
from msgspec import DecodeError, Raw
from msgspec.json import Decoder

from goloagent.concurrency.steps import Steps
from goloagent.core.record import Int64
from goloagent.results import timestamps
from goloagent.results.decoder import NULL, odd_line

MAX_TEXT_BYTES = 200
"""The length of the stored beginning of the line."""

_MAX_SHOWN_CHARACTERS = 60
_STRING, _INTEGER = Decoder(str | None), Decoder(Int64 | None)
_MEMBERS = {
    "sequenceID": (_STRING, "a string"),
    "url": (_STRING, "a string"),
    "method": (_STRING, "a string"),
    "status": (_INTEGER, "an integer of 64 bits"),
    "size": (_INTEGER, "an integer of 64 bits"),
    "duration": (_INTEGER, "an integer of 64 bits, in nanoseconds"),
}
_decode_members = Decoder(dict[str, Raw]).decode


@attrs.frozen
class InvalidLineReason:
    """The `number` of a line (from 1), the `reason` why it is no result, and how it begins."""

    number: int
    reason: str
    text: str


def begins(line: bytes) -> str:
    """Return how a line begins; bytes that are not UTF-8 are replaced."""
    return line[:MAX_TEXT_BYTES].decode(errors="replace")


def explain(line: bytes) -> Steps[str]:
    """Return why a line, without its newline, is not a result."""
    try:
        text = line.decode().strip(" \t\r\n")
    except UnicodeDecodeError as error:
        return f"byte {error.start + 1} is not UTF-8"
    if not text:
        return "it is empty"
    if not text.startswith("{"):
        return "it is not a JSON object"
    odd = yield from odd_line(line)
    if odd is None:
        return "it is nested too deep"
    try:
        members = _decode_members(odd)
    except (DecodeError, RecursionError):
        return "it is not valid JSON, or is cut"
    for name, value in members.items():
        reason = _explain_member(name, value)
        if reason is not None:
            shown = bytes(value).decode()
            if len(shown) > _MAX_SHOWN_CHARACTERS:
                shown = f"{shown[:_MAX_SHOWN_CHARACTERS]}…"
            return f"{name}: {shown} {reason}"
    if members.get("timestamp", NULL) == NULL:
        return "timestamp: it is missing"
    return "a member occurs twice, once with an invalid value"


def _explain_member(name: str, value: Raw) -> str | None:
    if name == "timestamp":
        return None if value == NULL else timestamps.explain(value)
    if name in _MEMBERS:
        decoder, wanted = _MEMBERS[name]
        try:
            decoder.decode(value)
        except DecodeError:
            return f"must be {wanted}"
    return None
