"""Why a line is no result, in words: for its author, and only for the first such line of a run.

What is a result is for `go_json` to say; this asks it again, value by value.
"""

from __future__ import annotations

import re

import attrs

from goloagent.concurrency.steps import Steps
from goloagent.results import go_json

TEXT_BYTES = 200
"""So much of the line is kept."""

_SHOWN_CHARACTERS = 60
_RFC3339 = "RFC 3339, such as 2026-01-02T03:04:05.678Z"
_WANTED = {
    "sequenceid": "a string",
    "url": "a string",
    "method": "a string",
    "status": "an integer of 64 bits",
    "size": "an integer of 64 bits",
    "duration": "an integer of 64 bits, in nanoseconds",
    "error": "a value whose numbers a float64 holds",
}
_DATE_AND_TIME = go_json.SECOND.replace("T", "[T ]", 1)
_has_no_zone = re.compile(f'"{_DATE_AND_TIME}(?:[.,][0-9]+)?"').fullmatch
_has_no_t = re.compile(f'"{go_json.SECOND.replace("T", " ", 1)}.*"').fullmatch
_has_no_colon = re.compile(f'"{_DATE_AND_TIME}(?:[.][0-9]+)? ?[+-][0-9]{{4}}"').fullmatch


@attrs.frozen
class InvalidLineReason:
    """The `number` of a line (from 1), the `reason` why it is no result, and how it begins."""

    number: int
    reason: str
    text: str


def begins(line: bytes) -> str:
    """Return how a line begins, what is not UTF-8 replaced."""
    return line[:TEXT_BYTES].decode(errors="replace")


def explaining(line: bytes) -> Steps[str]:
    """Return why a line, without its newline, is no result."""
    try:
        text = line.decode().strip(go_json.WHITESPACE)
    except UnicodeDecodeError as error:
        return f"byte {error.start + 1} is not UTF-8"
    if not text:
        return "it is empty"
    if not text.startswith("{"):
        return "it is not a JSON object"
    has_timestamp = False
    try:
        for value in go_json.values(text):
            if value is None:
                yield
                continue
            member, token, depth = value
            if not go_json.fits(member, token):
                return _of_member(member, token)
            has_timestamp |= member == "timestamp" and depth == 1 and token != "null"
    except go_json.NotAnObject:
        return "it is not valid JSON, is cut, or is nested too deep"
    return "it cannot be decoded" if has_timestamp else "timestamp: it is missing"


def _of_member(member: str, token: str) -> str:
    name = "sequenceID" if member == "sequenceid" else member
    reason = _of_timestamp(token) if member == "timestamp" else f"must be {_WANTED[member]}"
    shown = token if len(token) <= _SHOWN_CHARACTERS else f"{token[:_SHOWN_CHARACTERS]}…"
    return f"{name}: {shown} {reason}"


def _of_timestamp(token: str) -> str:
    if not token.startswith('"'):
        return f"must be a string in {_RFC3339}"
    if _has_no_zone(token):
        return "has no time zone: Z or an offset such as +02:00 must follow"
    if _has_no_colon(token):
        return "has an offset without a colon: +02:00 is wanted, and a T before the time"
    if _has_no_t(token):
        return "has no T between date and time"
    return f"is not {_RFC3339}"
