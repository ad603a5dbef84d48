"""Lines that a load test may print: results, near misses, and everything between.

`members_of` is the rule for results, written with Python's own JSON parser.
"""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Any

from hypothesis import strategies as st

from goloagent.results.decoder import MAX_DEPTH
from goloagent.results.parser import MAX_LINE_BYTES

TIMESTAMP = '"timestamp":"2024-01-01T12:34:56.123456789+02:00"'
ORDINARY = (
    '{"sequenceID":"3f0c1c3e-8f2b-4f7e-9d55-0d1c7e3f9a11","url":"http://localhost/a?x=1\\u0026y=2",'
    f'"method":"GET","status":200,"size":5120,{TIMESTAMP},"duration":1234567,"error":null}}'
).encode()

# Go parses these; they are not RFC 3339.
LAX_TIMESTAMPS = [
    "2024-01-01T1:00:00Z",
    "2024-01-01T00:00:00,5Z",
    "2024-01-01T00:00:00+24:00",
    "2024-01-01T00:00:00-23:60",
]
TIMESTAMPS = [
    "2024-01-01T00:00:00Z",
    "2024-02-29T23:59:59.999999999-23:59",
    "2024-01-01T00:00:00.1234567890123Z",
    "2024-01-01T00:00:00-00:00",
    "0000-02-29T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "2000-02-29T00:00:00Z",
    "9999-12-31T23:59:59.9999999-01:00",
]
WRONG_TIMESTAMPS = [
    "",
    "2023-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2024-04-31T00:00:00Z",
    "2024-00-01T00:00:00Z",
    "2024-13-01T00:00:00Z",
    "2024-01-00T00:00:00Z",
    "2024-1-01T00:00:00Z",
    "2024-01-01T24:00:00Z",
    "2024-01-01T00:60:00Z",
    "2024-01-01T00:00:60Z",
    "2024-01-01T00:00:00.Z",
    "2024-01-01T00:00:00",
    "2024-01-01T00:00:00+0000",
    "2024-01-01T00:00:00+00",
    "2024-01-01t00:00:00Z",
    "2024-01-01T00:00:00z",
    "2024-01-01 00:00:00Z",
    "2024-01-01T00:00:00Z ",
    # Not one of the right ones without its escape, which `_is_timestamp` looks for in the line.
    "2024-05-06T00:00:00\\u005a",
    "2024-05-06T00:00:00Z\\u000a",
    "\\u0032024-05-06T00:00:00Z",
    "\u0662024-01-01T00:00:00Z",
    "12024-01-01T00:00:00Z",
]
NAMES = [
    "status", "STATUS", "st\\u0061tus", "\u017ftatus", " status", "status\\u0000", "", "size",
    "duration", "sequenceID", "url", "method", "error", "timestamp", "TIMESTAMP", "timest\\u0061mp",
    "x", "\U0001f600", "\\ud800",
]  # fmt: skip
VALUES = [
    "null", "true", "false", "0", "-0", "-1", "200", "1.0", "1.5", "1e2", "01", "+1", "1.", ".5",
    "-", "1e", "1E+5", "1e999", "-1e999", "1e-999", "1.7976931348623158e308",
    "1.7976931348623159e308", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "-9223372036854775809", "1" * 30, "1" * 308, "1" * 309, "9" * 309, "1" * 5000,
    "1" * 309 + ".5", "NaN", "Infinity", "nul", "True", "{}", "[]", "[1,]", "[,]", "[1 2]", "[1",
    "{1:2}", '{"a"}', '{"a":}', '{"a":1,}', '{"a":1,"a":"x"}', '{"status":"x"}', "[}", "{]",
    '{"a":[{"b":[1e999]}]}', '{"timestamp":"x"}', '{"timestamp":"2024-01-01T00:00:00Z"}',
    '""', '"x"', '"\\u0026"', '"\\ud800"', '"\\ud800\\u0041"', '"\\udc00"', '"\\ud83d\\ude00"',
    '"\\x"', '"\\u12"', '"\\', '"a\tb"', '"\x00"', '"\x7f"', '"\u2028"', '"open', "'x'",
    '"GET\\u0020"', '"\\"timestamp\\""',
]  # fmt: skip


def nested(depth: int, name: str = "x", brackets: str = "[]") -> bytes:
    """Return a record with a member that makes it a number of levels deep."""
    opening, closing = ("[", "]") if brackets == "[]" else ('{"[":', "}")
    inside = f"{opening * (depth - 1)}1{closing * (depth - 1)}"
    return f'{{{TIMESTAMP},"{name}":{inside}}}'.encode()


BY_HAND = [
    line.encode()
    for line in [
        ORDINARY.decode(),
        *(
            f'{{"timestamp":"{timestamp}"}}'
            for timestamp in [*TIMESTAMPS, *WRONG_TIMESTAMPS, *LAX_TIMESTAMPS]
        ),
        *(f'{{{TIMESTAMP},"{name}":{value}}}' for name in NAMES for value in VALUES),
        f'{{{TIMESTAMP},"status":1,"status":"x"}}',
        f'{{{TIMESTAMP},"status":"x","status":1}}',
        f'{{{TIMESTAMP},"error":1,"error":null}}',
        f'{{"timestamp":"x",{TIMESTAMP}}}',
        f'{{{TIMESTAMP},"timestamp":null}}',
        f'{{{TIMESTAMP},"x":[{"[],[{}]," * MAX_DEPTH}[]]}}',
        f'{{{TIMESTAMP},"x":"{"[" * MAX_DEPTH}"}}',
        *("", " ", "null", "1", '""', "[]", "{}", "{", "}", ",", f"[{{{TIMESTAMP}}}]"),
        *(f"{before}{{{TIMESTAMP}}}" for before in (" ", "\t", "\ufeff", "\x0b", "\xa0", "\x00")),
        *(f"{{{TIMESTAMP}}}{after}" for after in ("\r", " ", "\x0b", "\x00", "x", "]", "}", "{}")),
        f"{{{TIMESTAMP},}}",
        f"{{,{TIMESTAMP}}}",
        f"{{{TIMESTAMP}}}{{{TIMESTAMP}}}",
        f'{{{TIMESTAMP},"error":' + "[" * 100_000,
    ]
] + [
    b'{%b,"error":"\xff"}' % TIMESTAMP.encode(),
    b'{%b,"x":"\xed\xa0\x80"}' % TIMESTAMP.encode(),
    b'{%b,"\xc0\x80":1}' % TIMESTAMP.encode(),
    b'{"timestamp":"\x80",%b}' % TIMESTAMP.encode(),
    b'{"timestamp":"\\x",%b}' % TIMESTAMP.encode(),
    *(
        nested(depth, name, brackets)
        for depth in (MAX_DEPTH, MAX_DEPTH + 1, 2000)
        for name in ("error", "x")
        for brackets in ("[]", "{}")
    ),
]

_INTEGERS = ("status", "size", "duration")
_STRINGS = ("sequenceID", "url", "method")
_SHAPE = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([01][0-9]|2[0-3])(:[0-5][0-9]){2}([.][0-9]+)?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)


def members_of(line: bytes) -> dict[str, Any] | None:
    """Return what statistics need of a result, or None if the line is not a result."""
    if len(line) > MAX_LINE_BYTES:
        return None
    members: dict[str, Any] = dict.fromkeys(_INTEGERS + _STRINGS)
    timestamp: object = None
    is_error = False
    try:
        text = line.decode()
        for name, value in _pairs(text):
            if name in _INTEGERS:
                members[name] = _integer(value)
            elif name in _STRINGS:
                members[name] = _string(value)
            elif name == "timestamp":
                timestamp = value
            elif name == "error":
                is_error = value is not None
    except (ValueError, RecursionError):
        return None
    is_result = isinstance(timestamp, str) and _is_timestamp(timestamp, text)
    return {**members, "is_error": is_error} if is_result else None


def is_result(line: bytes) -> bool:
    """Return whether the rule makes a line a result."""
    return members_of(line) is not None


def _pairs(text: str) -> list[tuple[str, Any]]:
    """Return the members of an object; integers and floats are tuples of their text."""
    level = deepest = 0
    for mark in re.sub(r'"(?:[^"\\]|\\.)*"|[^][{}"]', "", text):
        level += 1 if mark in "[{" else -1
        deepest = max(deepest, level)
    parsed = json.loads(
        text,
        object_pairs_hook=lambda pairs: {"pairs": pairs},
        parse_int=lambda digits: ("int", digits),
        parse_float=lambda digits: ("float", digits),
        parse_constant=lambda constant: int(f"no JSON: {constant}"),
    )
    if deepest > MAX_DEPTH or not isinstance(parsed, dict):
        raise ValueError
    pairs: list[tuple[str, Any]] = parsed["pairs"]
    return pairs


def _integer(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, tuple) and value[0] == "int" and len(value[1]) <= 20:
        number = int(value[1])
        if -(2**63) <= number < 2**63:
            return number
    raise ValueError


def _string(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _is_timestamp(value: str, text: str) -> bool:
    """Return whether a string is RFC 3339 of an existing day, and was written without escapes."""
    match = _SHAPE.fullmatch(value)
    if match is None or f'"{value}"' not in text:
        return False
    year, month, day = map(int, match.groups()[:3])
    try:
        date(year or 2000, month, day)
    except ValueError:
        return False
    return True


_values = st.recursive(
    st.sampled_from(VALUES) | st.integers(-(2**65), 2**65).map(str) | st.floats().map(repr),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | st.tuples(st.sampled_from(NAMES), inner).map(lambda item: '{{"{}": {}}}'.format(*item))
    ),
    max_leaves=4,
)
_timestamps = st.sampled_from(TIMESTAMPS * 4 + WRONG_TIMESTAMPS) | st.datetimes().map(
    lambda moment: f"{moment.isoformat()}Z"
)
_members = st.one_of(
    st.tuples(st.just("timestamp"), _timestamps.map('"{}"'.format)),
    st.tuples(st.sampled_from(["status", "size", "duration"]), st.integers(-5, 2**63).map(str)),
    st.tuples(st.sampled_from(["sequenceID", "url", "method"]), st.just('"x"')),
    st.tuples(st.sampled_from(NAMES), _values),
)
_spaces = st.sampled_from(["", "", "", " ", "\t", "\r"])


@st.composite
def _records(draw: st.DrawFn) -> bytes:
    """Draw a JSON object with valid and nearly valid members in any order."""
    members = [("timestamp", f'"{draw(_timestamps)}"')] if draw(st.integers(0, 9)) else []
    members = draw(st.permutations(members + draw(st.lists(_members, max_size=5))))
    space = draw(_spaces)
    inside = f"{space},{space}".join(f'"{name}"{space}:{space}{value}' for name, value in members)
    return f"{space}{{{inside}{space}}}{space}".encode("utf-8", "surrogatepass")


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """Draw a record with some of its bytes replaced."""
    line = draw(_records())
    at = draw(st.integers(0, len(line)))
    until = draw(st.integers(at, min(len(line), at + 3)))
    return line[:at] + draw(st.binary(max_size=3)).replace(b"\n", b"") + line[until:]


lines = st.one_of(
    st.just(ORDINARY),
    _records(),
    _damaged(),
    st.sampled_from(BY_HAND),
    st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"")),
)
"""Any line, without its newline."""
