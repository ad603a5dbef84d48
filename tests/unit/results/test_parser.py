"""The parser agrees with a plain statement of the rule, for lines alone and in blocks."""

from __future__ import annotations

import calendar
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers.lines import is_result, select
from unit.results import records
from unit.results.records import BY_HAND, ORDINARY, TIMESTAMP, TIMESTAMPS, lines, nested

from goloagent.core.record import Record
from goloagent.results import parser
from goloagent.results.decoder import MAX_DEPTH, decode_lines

NAMES = "sequenceID", "method", "url", "status", "size", "duration"


def _block(items: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in items)


def _with(members: str) -> bytes:
    return f"{{{TIMESTAMP},{members}}}".encode()


def _members(record: Record) -> dict[str, Any]:
    """Return what statistics need of a record."""
    members = {name: getattr(record, name) for name in NAMES}
    return {**members, "is_error": record.error is not None}


def _check(block: bytes) -> None:
    """Compare the results in a block, and their members, with the rule."""
    items = block.split(b"\n")[:-1]
    expected = list(map(records.members_of, items))
    assert select(block) == [
        line if members else None for line, members in zip(items, expected, strict=True)
    ]
    found = list(map(_members, parser.parse(block).results))
    assert found == [members for members in expected if members is not None]


def test_lines_chosen_by_hand() -> None:
    """Lines that resemble results, each alone and all in one block."""
    for line in BY_HAND:
        _check(line + b"\n")
    _check(_block(BY_HAND))


@given(items=st.lists(lines, max_size=8))
def test_generated_lines(items: list[bytes]) -> None:
    """Generated lines, each alone and all in one block."""
    for line in items:
        _check(line + b"\n")
    _check(_block(items))


@given(
    usual=st.lists(
        st.sampled_from([ORDINARY, _with('"url":"/"'), _with('"x":[]'), ORDINARY + b"\r"]),
        min_size=1,
        max_size=3,
    ),
    others=st.dictionaries(st.integers(0, 99), st.lists(lines, max_size=2), max_size=3),
    separator=st.sampled_from([b"\n", b"\n", b"\r\n", b" \n\t"]),
    joints=st.dictionaries(st.integers(0, 99), st.sampled_from([b"", b" ", b"\n\n"]), max_size=2),
)
def test_long_blocks(
    usual: list[bytes],
    others: dict[int, list[bytes]],
    separator: bytes,
    joints: dict[int, bytes],
) -> None:
    """Among many ordinary lines, with any space between them, other lines change nothing."""
    block = b""
    for number in range(100):
        block += b"".join(others.get(number, [usual[number % len(usual)]]))
        block += joints.get(number, separator)
    _check(block + b"\n")


@pytest.mark.parametrize(
    "items",
    [
        [ORDINARY + b"\r"],
        [b" " + ORDINARY, ORDINARY + b"\t"],
        [ORDINARY, _with('"url":"/"')],
        [ORDINARY, _with('"x":1'), _with('"error":{"Op":"Get","Err":{"Err":111}}')],
    ],
    ids=["carriage returns", "spaces", "order of members", "other members and errors"],
)
def test_ordinary_results_are_decoded_in_one_call(items: list[bytes]) -> None:
    """Space around objects, the order of members, and errors cost no second look at a block."""
    assert decode_lines(_block(items * 32)) is not None
    with pytest.raises(StopIteration):
        next(parser.parse_steps(_block(items * 32)))


def test_records_share_no_line() -> None:
    """Records that share a line, or span two, are invalid, also where the counts are equal."""
    assert select(_block([ORDINARY + ORDINARY, b""])) == [None, None]
    assert select(_block([ORDINARY, b"", ORDINARY])) == [ORDINARY, None, ORDINARY]
    assert select(ORDINARY.replace(b",", b",\n", 1) + b"\n") == [None, None]


@given(
    common=st.lists(st.sampled_from(TIMESTAMPS), min_size=1, max_size=2),
    others=st.dictionaries(
        st.integers(0, 99),
        st.sampled_from(TIMESTAMPS + records.WRONG_TIMESTAMPS + records.LAX_TIMESTAMPS),
        max_size=2,
    ),
)
def test_many_timestamps(common: list[str], others: dict[int, str]) -> None:
    """In a long block, mostly of the same seconds or not, each timestamp is checked."""
    texts = [others.get(number, common[number % len(common)]) for number in range(100)]
    _check(_block([f'{{"timestamp":"{text}"}}'.encode() for text in texts]))


@pytest.mark.parametrize("text", ["2024-02-29T23:59:59.5Z", "2024-02-29T23:59:59.5+01:30"])
@pytest.mark.parametrize("place", [0, 7, 19])
def test_one_different_timestamp_among_many(text: str, place: int) -> None:
    """Any changed character in one of many timestamps of a second is found."""
    texts = [text.replace(".", f".{digits:b}") for digits in range(20)]
    for start, count in itertools.product(range(len(text) + 1), range(2)):
        for other in ("", "5", ".", "Z", "+", '"', "\\"):
            texts[place] = text[:start] + other + text[start + count :]
            _check(_block([f'{{"timestamp":"{one}"}}'.encode() for one in texts]))


@pytest.mark.parametrize(
    "odd",
    ['"2024-01-01T00:00:0', '"2024-01-01T00:00:00"2024-01-01T00:00:00Z"', "null", "5", "[]", '""'],
)
def test_one_value_that_is_no_timestamp_among_many(odd: str) -> None:
    """The check of many timestamps at once finds where each begins and ends."""
    items = [_with(f'"x":{number}') for number in range(100)]
    items[50] = f'{{"timestamp":{odd}}}'.encode()
    assert select(_block(items)) == [*items[:50], None, *items[51:]]


@given(day=st.integers(1, 31), month=st.integers(1, 12), year=st.integers(1, 9999))
def test_the_day_of_a_timestamp_exists(day: int, month: int, year: int) -> None:
    """A day is valid if the calendar has it."""
    exists = day <= calendar.monthrange(year, month)[1]
    line = f'{{"timestamp":"{year:04}-{month:02}-{day:02}T00:00:00Z"}}'
    assert is_result(line.encode()) is exists


@pytest.mark.parametrize(
    ("members", "valid"),
    [
        *((member, False) for member in (
            '"status":"200"', '"status":1.5', '"size":1e2', '"duration":9223372036854775808',
            '"url":1', '"error":NaN', '"status":"x","status":1', '"x":"\\x"', '"x":01',
        )),
        *((member, True) for member in (
            '"status":null', '"STATUS":"x"', '"sequenceID":null,"size":-1', '"error":1e999',
            '"size":-9223372036854775808', '"x":{"timestamp":1}', '"error":[1,{"a":"b"}]',
            '"url":"\\ud800"', '"x":"\\\\ud800\\ud83d\\ude00"',
        )),
    ],
)  # fmt: skip
def test_members(members: str, valid: bool) -> None:
    """Only the documented names have types; other members and the error are any JSON."""
    assert is_result(_with(members)) is valid


@pytest.mark.parametrize("name", ["error", "x"])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_depth(name: str, brackets: str) -> None:
    """The maximum depth counts nesting, and not the number of values."""
    deepest = nested(MAX_DEPTH, name, brackets)
    assert select(_block([deepest, nested(MAX_DEPTH + 1, name, brackets)])) == [deepest, None]
    assert is_result(_with(f'"{name}":[{",".join([brackets] * 100_000)}]'))


@pytest.mark.parametrize("broken", [b"\xff", b"\xed\xa0\x80", b"\xc0\x80"])
@pytest.mark.parametrize("member", [b'"url":"%b"', b'"x":"%b"', b'"%b":1', b'"error":["%b"]'])
def test_broken_utf_8(broken: bytes, member: bytes) -> None:
    """A line with broken UTF-8 anywhere is invalid."""
    assert not is_result(b"{%b,%b}" % (TIMESTAMP.encode(), member % broken))


@pytest.mark.parametrize("name", ["url", "x"])
def test_the_longest_result_fits_a_body(name: str) -> None:
    """The longest result and its brackets are the largest body; a byte more is invalid."""
    frame = _with(f'"{name}":"%"')
    longest = frame.replace(b"%", b"a" * (parser.MAX_LINE_BYTES - len(frame) + 1))
    assert len(parser.join_array([longest])) == parser.MAX_BODY_BYTES
    longer = longest.replace(b"aa", b"aaa", 1)
    assert select(_block([ORDINARY, longer, longest])) == [ORDINARY, None, longest]


def test_an_array_has_the_bytes_of_its_results() -> None:
    """A body is the lines' own bytes, between brackets, with commas."""
    assert parser.join_array([]) == b"[]"
    assert parser.join_array([b'{"a": 1}\r', b"{}"]) == b'[{"a": 1}\r,{}]'


@pytest.mark.parametrize(
    "block",
    [
        b'{"timestamp":1}\n' * 1000,
        b'{"timestamp":"2026-01-02T03:04:05Z"}\n{"timestamp":1}\n' * 500,
        b'{"timestamp":"2026-01-02T03:04:05Z","x":"\\ud800"}\n' * 1000,
    ],
    ids=["invalid", "valid and invalid", "lone surrogates"],
)
def test_odd_blocks_are_parsed_in_steps(block: bytes) -> None:
    """Blocks that are halved down to single lines take many small steps."""
    assert len(list(parser.parse_steps(block))) >= 500


def test_the_depth_of_a_long_line_is_found_in_steps() -> None:
    """A line of a million brackets takes several steps."""
    line = _with(f'"x":[{",".join(["[" * 400 + "]" * 400] * 1200)}]') + b"\n"
    assert len(list(parser.parse_steps(line))) >= 10
    assert len(json.loads(line)["x"]) == 1200
