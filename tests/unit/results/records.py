"""Lines that a load test may print: ordinary results, near misses, and everything between."""

from __future__ import annotations

from hypothesis import strategies as st

TIMESTAMP = '"timestamp":"2024-01-01T12:34:56.123456789+02:00"'
ORDINARY = (
    '{"sequenceID":"3f0c1c3e-8f2b-4f7e-9d55-0d1c7e3f9a11","url":"http://localhost/a?x=1\\u0026y=2",'
    f'"method":"GET","status":200,"size":5120,{TIMESTAMP},"duration":1234567,"error":null}}'
).encode()

# Go's time.Time takes these, RFC 3339 does not.
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
    "2024-01-01T00:00:00\\u005a",
    "2024-01-01T00:00:00Z\\u000a",
    "\\u0032024-01-01T00:00:00Z",
    "\u0662024-01-01T00:00:00Z",
    "12024-01-01T00:00:00Z",
]
NAMES = [
    "status", "STATUS", "Status", "\u017ftatus", "st\\u0061tus", "\\u017ftatus", "\\u0073tatus",
    "\ufb06atus", "sta_tus", "sta-tus", " status", "status\\u0000", "",
    "size", "\u017fIZE", "duration", "DURAT\u0130ON", "sequenceID", "\u017fequenceid", "url", "URL",
    "method", "error", "Error", "timestamp", "TIMESTAMP", "time\u017ftamp", "timest\\u0061mp",
    "ti_mestamp", "x", "\U0001f600", "\\ud800",
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


def _nested(depth: int) -> list[str]:
    return [
        f'{{{TIMESTAMP},"{name}":{opening * depth}1{closing * depth}}}'
        for name in ("error", "x")
        for opening, closing in (("[", "]"), ('{"a":', "}"))
    ]


# One level short of Go's limit, for the array around a batch: the record itself is a level too.
DEEPEST = [line.encode() for line in _nested(9_998)]
TOO_DEEP = [
    line.encode()
    for line in [
        *_nested(9_999),
        f'{{{TIMESTAMP},"error":{"[" * 9_999}{"]" * 9_999},"error":null}}',
    ]
]

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
        f'{{{TIMESTAMP},"STATUS":"x","STATUS":1}}',
        f'{{{TIMESTAMP},"error":{"9" * 309},"error":null}}',
        f'{{"timestamp":"x",{TIMESTAMP}}}',
        f'{{"timestamp":null,{TIMESTAMP}}}',
        f'{{"timest\\u0061mp":"x",{TIMESTAMP}}}',
        f'{{{TIMESTAMP},"timestamp":null}}',
        '{"TIMESTAMP":"2024-01-01T00:00:00Z"}',
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
    *DEEPEST,
    *TOO_DEEP,
]

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
    """A JSON object of members that fit a record and members that nearly do, in any order."""
    members = [("timestamp", f'"{draw(_timestamps)}"')] if draw(st.integers(0, 9)) else []
    members = draw(st.permutations(members + draw(st.lists(_members, max_size=5))))
    space = draw(_spaces)
    inside = f"{space},{space}".join(f'"{name}"{space}:{space}{value}' for name, value in members)
    return f"{space}{{{inside}{space}}}{space}".encode("utf-8", "surrogatepass")


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """A record with some of its bytes replaced."""
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
