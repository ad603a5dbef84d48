"""The whole rule for one result, written out: JSON as Go reads it, and a collector's record.

It is the plain path beside `output`'s fast one: exact for every line there is, with no library's
opinion in it and no recursion, at some 30 µs a line. It refuses to know how lines are found, how
many there are and what becomes of them.

The source of the rule is `json.Unmarshal` of Go's encoding/json into a collector's record. Where
we are stricter: UTF-8 must be whole (Go would put U+FFFD in its place), a timestamp must be there
and be RFC 3339 to the letter (Go lets some more through: `T1:00:00`, `00,5Z`, `+24:00`), and one
level of nesting is kept free for the array around a batch.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator

from goloagent.concurrency.steps import Steps, finish

# What takes some 2 ms.
_STEP_TOKENS = 1024

# Go's decoder goes 10,000 levels deep; the array that carries a batch is one of them.
MAX_DEPTH = 9_999

_DATE = (
    "(?:[0-9]{4}-(?:"
    "(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
_TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"

SECOND = f"{_DATE}T{_TIME}"
"""What a timestamp begins with."""

OFFSET = "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
"""What a timestamp ends in."""

TIMESTAMP = f"{SECOND}(?:[.][0-9]+)?{OFFSET}"
"""RFC 3339 with only days that exist, any number of digits in a fraction, and no leap second."""

WHITESPACE = " \t\r\n"
_STRING = r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"'
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?(?:[eE][+-]?[0-9]+)?"
_TOKEN = re.compile(
    rf"[{WHITESPACE}]*(?:(?P<string>{_STRING})(?:[{WHITESPACE}]*(?P<name>:))?"
    rf"|(?P<literal>{_NUMBER}|true|false|null)|(?P<mark>[{{}}\[\],])"
    rf"|(?P<garbage>[^{WHITESPACE}]))"
)
_INTEGER = re.compile("-?(?:0|[1-9][0-9]{0,18})")  # 19 digits hold every int64


_CLOSED_BY = {"{": "}", "[": "]"}

# (what may come, what came) -> what may come now. A name is a string with its colon; "end" is the
# end of a value.
_FOLLOWING = {
    ("value", "string"): "end",
    ("value", "literal"): "end",
    ("value", "["): "value or ]",
    ("value", "{"): "name or }",
    ("value or ]", "string"): "end",
    ("value or ]", "literal"): "end",
    ("value or ]", "["): "value or ]",
    ("value or ]", "{"): "name or }",
    ("value or ]", "]"): "end",
    ("name or }", "name"): "value",
    ("name or }", "}"): "end",
    ("name", "name"): "value",
    ("end", ","): "value or name",
    ("end", "]"): "end",
    ("end", "}"): "end",
}


class NotAnObject(ValueError):
    """The text is not one JSON object."""


def _is_string(token: str) -> bool:
    return token[0] == '"' or token == "null"


def _is_int64(token: str) -> bool:
    if _INTEGER.fullmatch(token):
        return -(2**63) <= int(token) < 2**63
    return token == "null"


# Go takes the bytes between the quotes as they are: an escape in a timestamp is refused.
_is_timestamp: Callable[[str], object] = re.compile(f'"{TIMESTAMP}"|null').fullmatch


def _fits_interface(token: str) -> bool:
    """Tell whether a value is one that Go can keep without a type: a number as a float64."""
    return token[0] not in "-0123456789" or math.isfinite(float(token))


# By folded name.
_MEMBERS: dict[str, Callable[[str], object]] = {
    "sequenceid": _is_string,
    "url": _is_string,
    "method": _is_string,
    "status": _is_int64,
    "size": _is_int64,
    "timestamp": _is_timestamp,
    "duration": _is_int64,
    "error": _fits_interface,
}


def _fold(name: str) -> str:
    """Fold a name as Go does to match it without case: one letter to one letter.

    Beyond ASCII only the long s is the same letter as one of a record's names; `str.casefold`
    would also take the ligature of s and t apart, and Go does not.
    """
    return name.replace("\u017f", "s").lower()


def is_own(name: str) -> bool:
    """Tell whether Go takes a name for that of one of a record's own members."""
    return _fold(name) in _MEMBERS


def accepts(line: bytes) -> bool:
    """Tell whether a line (without its newline, of any length) is a result."""
    return read(line) is not None


def fits(member: str, token: str) -> bool:
    """Tell whether a value may stand in the member of this folded name, at any depth."""
    rule = _MEMBERS.get(member)
    return rule is None or bool(rule(token))


def read(line: bytes) -> dict[str, str] | None:
    """Return what `reading` does, in one go."""
    return finish(reading(line))


def reading(line: bytes) -> Steps[dict[str, str] | None]:
    """Return a record's own members in a line, or None if it is no result.

    Each is its folded name and the token of its value, of an array or object the opening bracket.
    Of a member that is there twice, the last counts; but the timestamp is there even before a null.
    """
    members: dict[str, str] = {}
    try:
        for value in values(line.decode().strip(WHITESPACE)):
            if value is None:
                yield
                continue
            member, token, depth = value
            rule = _MEMBERS.get(member)
            if rule is not None:
                if not rule(token):
                    return None
                if depth == 1 and (member != "timestamp" or token != "null"):
                    members[member] = token
    except (UnicodeDecodeError, NotAnObject):
        return None
    return members if "timestamp" in members else None


def text(token: str) -> str | None:
    """Return the string that a token is; half a surrogate pair is U+FFFD, as in Go."""
    if token == "null":
        return None
    string: str = json.loads(token)
    return string.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def integer(token: str) -> int | None:
    """Return the integer that a token is."""
    return None if token == "null" else int(token)


def values(text: str) -> Iterator[tuple[str, str, int] | None]:
    """Yield each value in a JSON object, at every depth, as it comes; None now and then.

    A value is the folded name of the top-level member it stands in, its token (all of a string or
    literal, the opening bracket of an array or object) and how many brackets are open around it.
    The object itself is of no member.

    Raises `NotAnObject` at the first token that JSON does not have there.
    """
    if not text.startswith("{"):
        raise NotAnObject
    expected = "value"
    closing: list[str] = []  # what closes each bracket that is open, outermost first
    member = ""
    for count, match in enumerate(_TOKEN.finditer(text), 1):
        if not count % _STEP_TOKENS:
            yield None
        kind = match.lastgroup or "garbage"
        if kind == "mark":
            kind = match["mark"]
        if (following := _FOLLOWING.get((expected, kind))) is None:
            raise NotAnObject
        if kind == "name":
            if len(closing) == 1:
                member = _fold(json.loads(match["string"]))
        elif kind == ",":
            if not closing:
                raise NotAnObject
            following = "name" if closing[-1] == "}" else "value"
        elif kind in ("]", "}"):
            if not closing or closing.pop() != kind:
                raise NotAnObject
        elif kind in _CLOSED_BY:
            yield member, kind, len(closing)
            closing.append(_CLOSED_BY[kind])
            if len(closing) > MAX_DEPTH:
                raise NotAnObject
        else:
            yield member, match[kind], len(closing)
        expected = following
    if closing:
        raise NotAnObject
