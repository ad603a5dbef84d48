"""What is a result, and that the fast path says what the grammar says."""

from __future__ import annotations

import calendar
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers.lines import select
from unit.results.records import (
    BY_HAND,
    DEEPEST,
    LAX_TIMESTAMPS,
    ORDINARY,
    TIMESTAMP,
    TIMESTAMPS,
    TOO_DEEP,
    WRONG_TIMESTAMPS,
    lines,
)

from goloagent.concurrency.steps import finish
from goloagent.core.record import Record
from goloagent.results import go_json, parser
from goloagent.results.fast_parser import parse_block_fast


def _blocks(items: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in items)


def _with(members: str) -> bytes:
    return f"{{{TIMESTAMP},{members}}}".encode()


def test_an_ordinary_line_is_a_result() -> None:
    """The line that Go load tests print is a result."""
    assert parser.is_result(ORDINARY)


def test_ordinary_lines_do_not_reach_the_grammar(monkeypatch: pytest.MonkeyPatch) -> None:
    """What load tests usually print is judged without the slow path."""
    monkeypatch.setattr(go_json, "read", lambda line: pytest.fail(repr(line)))
    usual = [
        ORDINARY,
        ORDINARY + b"\r",
        _with(
            '"error":{"Op":"Get","URL":"http://localhost","Err":{"Syscall":"connect","Err":111}}'
        ),
        _with('"error":"Get \\"http://localhost/\\": EOF","bytes_in":17'),
        json.dumps({**json.loads(ORDINARY), "tags": ["a", {"b": 1}]}).encode(),
    ]
    assert len(parser.read(_blocks(usual)).results) == len(usual)


@given(line=lines)
def test_a_line_is_a_result_when_the_grammar_says_so(line: bytes) -> None:
    """The fast path and the plain one agree on every line."""
    assert parser.is_result(line) == go_json.accepts(line)


def test_a_hand_picked_line_is_a_result_when_the_grammar_says_so() -> None:
    """The fast path and the plain one agree on the lines that are made to divide them."""
    divided = [line for line in BY_HAND if parser.is_result(line) != go_json.accepts(line)]
    assert divided == []


def _plain(line: bytes) -> Record | None:
    return finish(parser._by_the_grammar(line))


def _told(record: Record | None) -> tuple[object, ...] | None:
    """Return what a record says; of an error only that it is one."""
    if record is None:
        return None
    names = "sequenceID", "method", "url", "status", "size", "duration"
    return *(getattr(record, name) for name in names), record.error is None


@given(line=lines)
def test_a_record_says_what_the_grammar_reads(line: bytes) -> None:
    """The fast path and the plain one agree on what a result says."""
    records = parser.read(line + b"\n").results
    assert list(map(_told, records)) == [_told(_plain(line))][: len(records)]


def test_a_hand_picked_record_says_what_the_grammar_reads() -> None:
    """So they do on the lines that are made to divide them."""
    results = [line for line in BY_HAND if go_json.accepts(line)]
    records = parser.read(_blocks(results)).results
    assert list(map(_told, records)) == [_told(_plain(line)) for line in results]


@given(items=st.lists(lines, max_size=8))
def test_a_block_is_its_lines(items: list[bytes]) -> None:
    """Lines are the same results in a block as one by one, and keep their bytes and places."""
    block = _blocks(items)
    expected = [line if go_json.accepts(line) else None for line in items]
    assert select(block) == expected
    assert len(parser.read(block).results) == len(items) - expected.count(None)


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
def test_a_long_block_is_its_lines(
    usual: list[bytes],
    others: dict[int, list[bytes]],
    separator: bytes,
    joints: dict[int, bytes],
) -> None:
    """Among many that are usual, whatever lies between them, each line is what it is by itself."""
    block = b""
    for number in range(100):
        block += b"".join(others.get(number, [usual[number % len(usual)]]))
        block += joints.get(number, separator)
    items = block.split(b"\n")
    assert select(block + b"\n") == [line if go_json.accepts(line) else None for line in items]
    results = [line for line in items if go_json.accepts(line)]
    assert list(map(_told, parser.read(block + b"\n").results)) == [
        _told(_plain(line)) for line in results
    ]


@pytest.mark.parametrize(
    "items",
    [
        [ORDINARY + b"\r"],
        [b" " + ORDINARY, ORDINARY + b"\t"],
        [ORDINARY, _with('"url":"/"')],
        [ORDINARY, _with('"x":1')],
    ],
    ids=["carriage returns", "spaces", "order of members", "other members"],
)
def test_results_that_begin_and_end_unlike_are_read_in_one_go(items: list[bytes]) -> None:
    """White space around objects and the order of members cost no second look at a block."""
    assert parse_block_fast(_blocks(items * 32)) is not None


@given(items=st.lists(st.just(ORDINARY) | st.just(ORDINARY + b"\r"), min_size=1, max_size=8))
def test_all_lines_of_a_good_block_are_results(items: list[bytes]) -> None:
    """A block of results is selected whole."""
    assert select(_blocks(items)) == items


@given(
    common=st.lists(st.sampled_from(TIMESTAMPS), min_size=1, max_size=2),
    others=st.dictionaries(
        st.integers(0, 99),
        st.sampled_from(TIMESTAMPS + WRONG_TIMESTAMPS + LAX_TIMESTAMPS),
        max_size=2,
    ),
)
def test_many_timestamps_are_told_as_one_is(common: list[str], others: dict[int, str]) -> None:
    """Most of the same seconds or not, each timestamp of a long block is judged as by itself."""
    texts = [others.get(number, common[number % len(common)]) for number in range(100)]
    items = [f'{{"timestamp":"{text}"}}'.encode() for text in texts]
    assert select(_blocks(items)) == [line if go_json.accepts(line) else None for line in items]


@pytest.mark.parametrize("text", ["2024-02-29T23:59:59.5Z", "2024-02-29T23:59:59.5+01:30"])
@pytest.mark.parametrize("place", [0, 7, 19])
def test_one_timestamp_that_differs_is_judged(text: str, place: int) -> None:
    """Among many of a second it makes no difference whichever character is changed."""
    texts = [text.replace(".", f".{digits:b}") for digits in range(20)]
    for start, count in itertools.product(range(len(text) + 1), range(2)):
        for other in ("", "5", ".", "Z", "+", '"', "\\"):
            texts[place] = text[:start] + other + text[start + count :]
            items = [f'{{"timestamp":"{one}"}}'.encode() for one in texts]
            good = go_json.accepts(items[place])
            expected = [*items[:place], items[place] if good else None, *items[place + 1 :]]
            assert select(_blocks(items)) == expected


def test_timestamps_in_a_row_are_apart() -> None:
    """A fast path that sees many timestamps at once sees where each begins and ends."""
    one, two = '"2024-01-01T00:00:0', '"2024-01-01T00:00:00"2024-01-01T00:00:00Z"'
    for odd in (f"{one}", two, "null", "5", "[]", '""', '"\\"'):
        items = [_with(f'"x":{number}') for number in range(100)]
        items[50] = f'{{"timestamp":{odd}}}'.encode()
        assert select(_blocks(items)) == [*items[:50], None, *items[51:]]


def test_a_record_is_on_one_line() -> None:
    """Records that share a line, or stand on two, are none, even where the counts come out even."""
    assert select(_blocks([ORDINARY + ORDINARY, b""])) == [None, None]
    assert select(_blocks([ORDINARY, b"", ORDINARY])) == [ORDINARY, None, ORDINARY]
    assert select(ORDINARY.replace(b",", b",\n", 1) + b"\n") == [None, None]


def _are_results(timestamps: list[str]) -> dict[str, bool]:
    return {
        timestamp: parser.is_result(f'{{"timestamp":"{timestamp}"}}'.encode())
        for timestamp in timestamps
    }


def test_rfc_3339_is_a_timestamp() -> None:
    """Every day that exists, every offset and any fraction is a timestamp."""
    assert _are_results(TIMESTAMPS) == dict.fromkeys(TIMESTAMPS, True)


def test_what_is_not_rfc_3339_is_no_timestamp() -> None:
    """A timestamp that is not RFC 3339 to the letter makes a line no result."""
    wrong = [*WRONG_TIMESTAMPS, *LAX_TIMESTAMPS]
    assert _are_results(wrong) == dict.fromkeys(wrong, False)


@given(day=st.integers(1, 31), month=st.integers(1, 12), year=st.integers(1, 9999))
def test_a_timestamp_is_of_a_day_that_exists(day: int, month: int, year: int) -> None:
    """A day is one that the calendar has."""
    timestamp = f"{year:04}-{month:02}-{day:02}T00:00:00Z"
    exists = day <= calendar.monthrange(year, month)[1]
    assert _are_results([timestamp]) == {timestamp: exists}


@pytest.mark.parametrize("line", ["null", "{}", '{"timestamp":null}', '{"status":200}', ""])
def test_without_a_timestamp_there_is_no_result(line: str) -> None:
    """A line without a timestamp is no result."""
    assert not parser.is_result(line.encode())


@pytest.mark.parametrize(
    "members",
    ['"status":"200"', '"status":1.5', '"size":1e2', '"duration":9223372036854775808',
     '"url":1', '"STATUS":"x"', '"\u017ftatus":"x"', '"\\u017ftatus":"x"',
     '"error":NaN', '"error":1e999', '"status":"x","status":1'],
)  # fmt: skip
def test_a_member_that_go_refuses_makes_no_result(members: str) -> None:
    """One member that a collector's decoder refuses makes a line no result."""
    assert not parser.is_result(_with(members))


@pytest.mark.parametrize(
    "members",
    ['"status":null', '"\ufb06atus":"x"', '"sta_tus":"x"',
     '"sequenceID":null,"size":-1', '"size":-9223372036854775808',
     '"Status":200', '"x":{"timestamp":1}', '"error":[1,{"a":"b"}]', '"url":"\\ud800"'],
)  # fmt: skip
def test_a_member_that_go_takes_makes_a_result(members: str) -> None:
    """Null, any case of a name, members of one's own and half a surrogate pair are all taken."""
    assert parser.is_result(_with(members))


def test_nesting_ends_where_a_batch_would_be_too_deep_for_go() -> None:
    """A record may be 9,999 levels deep; the array around it is the ten thousandth."""
    assert [parser.is_result(line) for line in DEEPEST] == [True] * len(DEEPEST)
    assert [parser.is_result(line) for line in TOO_DEEP] == [False] * len(TOO_DEEP)


@pytest.mark.parametrize("name", ["error", "x"])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_is_bounded_by_go_and_not_by_python(
    monkeypatch: pytest.MonkeyPatch, name: str, opening: str, closing: str
) -> None:
    """However deep the interpreter goes, a fast path goes no deeper than the grammar."""
    monkeypatch.setattr(go_json, "MAX_DEPTH", 100)
    items = [_with(f'"{name}":{opening * depth}1{closing * depth}') for depth in (98, 99, 100)]
    assert select(_blocks(items)) == [*items[:2], None]
    assert list(map(parser.is_result, items)) == [True, True, False]
    shallow = [_with(f'"{name}":[]')] * 100
    assert parse_block_fast(_blocks(shallow)) is not None


def test_utf_8_must_be_whole() -> None:
    """A line with broken UTF-8 is no result, wherever in it that stands."""
    for broken in (b"\xff", b"\xed\xa0\x80", b"\xc0\x80"):
        for member in (b'"url":"%b"', b'"x":"%b"', b'"%b":1', b'"error":["%b"]'):
            assert not parser.is_result(b"{%b,%b}" % (TIMESTAMP.encode(), member % broken))


@pytest.mark.parametrize("name", ["url", "x"])
def test_a_result_fits_a_body(name: str) -> None:
    """The longest result and its brackets are a body of the largest size; a byte more is none."""
    frame = _with(f'"{name}":"%"')
    longest = frame.replace(b"%", b"a" * (parser.MAX_LINE_BYTES - len(frame) + 1))
    assert parser.is_result(longest)
    assert len(parser.join_array([longest])) == parser.MAX_BODY_BYTES
    longer = longest.replace(b"aa", b"aaa", 1)
    assert not parser.is_result(longer)
    assert select(_blocks([ORDINARY, longer, longest])) == [ORDINARY, None, longest]


def test_a_batch_is_an_array_of_the_bytes_that_came() -> None:
    """The body holds the lines' own bytes, between brackets, with commas."""
    assert parser.join_array([]) == b"[]"
    assert parser.join_array([b'{"a": 1}']) == b'[{"a": 1}]'
    assert parser.join_array([b'{"a": 1}\r', b"{}"]) == b'[{"a": 1}\r,{}]'


ODD = {
    "many odd lines": b'{"timestamp":"2026-01-02T03:04:05Z","\\u0061":1}\n' * 1000,
    "one line of many tokens": (
        b'{"timestamp":"2026-01-02T03:04:05Z","\\u0061":[%b]}\n' % b",".join([b"1"] * 100_000)
    ),
    "one line of many objects": (
        b'{"timestamp":"2026-01-02T03:04:05Z","\\u0061":[%b]}\n' % b",".join([b"{}"] * 50_000)
    ),
    "no results": b'{"timestamp":1}\n' * 1000,
    "good and bad": (b'{"timestamp":"2026-01-02T03:04:05Z"}\n{"timestamp":1}\n') * 500,
}


@pytest.mark.parametrize("block", ODD.values(), ids=ODD)
def test_what_takes_long_is_read_in_steps(block: bytes) -> None:
    """Each is a small part of the whole, and all of them together read the same."""
    steps = parser.reading_of(block)
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            reading = end.value
            break
        count += 1
    assert count >= 90
    assert reading == parser.read(block)


def test_what_is_ordinary_is_read_in_one_step() -> None:
    """Nothing is lost on the fast path."""
    block = b'{"timestamp":"2026-01-02T03:04:05Z"}\n' * 1000
    with pytest.raises(StopIteration):
        next(parser.reading_of(block))
