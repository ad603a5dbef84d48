"""The bodies and keys of pushes, and what is recognised as a repeat."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.collect.marks import MAX_KEYS, Marks, PartlyStored
from goloagent.collect.push import (
    MAX_BODY_BYTES,
    MAX_KEY_CHARS,
    InvalidPush,
    Push,
    Source,
    decompress,
    key_of,
    lines_of,
    read_key,
)
from goloagent.concurrency.steps import finish

JOB = "0b1e5b84-6f4e-4b6e-9d2c-0a7b6d1f2e3c"
RESULT = {"timestamp": "2026-01-02T03:04:05Z"}
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def push(key: str, first: int = 0, end: int = 0) -> Push:
    """Return a push with a key or a range."""
    return Push(Source("shop", JOB), key, first, end, b"", 0, "peer")


@given(st.lists(values), st.sampled_from([None, 1, "\t"]))
def test_a_body_becomes_one_line_for_each_result(more: list[object], indent: int | None) -> None:
    """However it is laid out, a result is one line with the same members."""
    items = [RESULT | {"more": value} for value in more]
    text, count = finish(lines_of(json.dumps(items, indent=indent).encode()))
    assert count == len(items)
    assert [json.loads(line) for line in text.splitlines()] == items
    assert text.count(b"\n") == count


def test_numbers_keep_their_digits() -> None:
    """A number is not read, so that none changes."""
    item = b'{"timestamp":"2026-01-02T03:04:05Z","size":1,\n"more":12345678901234567890.10e5}'
    text, _ = finish(lines_of(b"[" + item + b"]"))
    assert text == item.replace(b"\n", b"") + b"\n"


@given(st.binary(max_size=200))
def test_any_bytes_are_results_or_refused(body: bytes) -> None:
    """A body that is none raises no other error."""
    try:
        text, count = finish(lines_of(body))
    except InvalidPush:
        return
    assert text.count(b"\n") == count


@given(st.binary(max_size=200))
def test_any_bytes_are_gzip_or_refused(body: bytes) -> None:
    """So does one that is no gzip."""
    assert decompress(gzip.compress(body)) == body
    with pytest.raises(InvalidPush):
        decompress(gzip.compress(body)[:-1])
    with pytest.raises(InvalidPush):
        decompress(b"x" + body)


def test_all_members_of_gzip_are_read() -> None:
    """A body of several members is their sum; other bytes behind one refuse it."""
    assert decompress(gzip.compress(b"[1,") + gzip.compress(b"2]")) == b"[1,2]"
    with pytest.raises(InvalidPush, match="not gzip"):
        decompress(gzip.compress(b"[]") + b"more")
    with pytest.raises(InvalidPush, match="more than 16 members"):
        decompress(gzip.compress(b"") * 100)


def test_a_bomb_is_refused() -> None:
    """Not more than the largest body is decompressed."""
    with pytest.raises(InvalidPush, match="longer"):
        decompress(gzip.compress(b" " * (MAX_BODY_BYTES + 1)))


@pytest.mark.parametrize(
    ("key", "sender", "span"),
    [
        (f"{JOB}/0-99", JOB, (0, 100)),
        (f"{JOB}/100-100", JOB, (100, 101)),
        (f"{JOB}/100-99", "peer 192.0.2.1", (0, 0)),
        (f"{JOB}/1-9999999999999999999", "peer 192.0.2.1", (0, 0)),
        (f"{JOB}/-1-9", "peer 192.0.2.1", (0, 0)),
        ("key", "peer 192.0.2.1", (0, 0)),
        ("", "peer 192.0.2.1", (0, 0)),
    ],
)
def test_keys(key: str, sender: str, span: tuple[int, int]) -> None:
    """A key of an agent has its job and a range; any other one is of the peer."""
    assert read_key("shop", "192.0.2.1", key) == (Source("shop", sender), *span)


def test_long_keys_and_keys_of_any_bytes_are_distinct() -> None:
    """Two keys are two pushes, however much of them is the same."""
    keys = [b"k" * 300 + end for end in (b"1", b"2")] + [b"\xff", b"\xfe", b"key", b""]
    read = [key_of(key) for key in keys]
    assert len(set(read)) == len(keys)
    assert all(len(key.encode()) <= MAX_KEY_CHARS * 2 for key in read)
    assert read[4:] == ["key", ""]


@pytest.mark.parametrize(
    ("stored", "first", "end", "is_stored"),
    [
        (1000, 950, 1100, False),  # 50 bytes of other lines were stored, and no result
        (1000, 900, 1050, True),  # the result, and later 50 bytes of other lines
    ],
)
def test_a_single_result_between_other_lines(
    stored: int, first: int, end: int, is_stored: bool
) -> None:
    """It is stored or not: a result alone cannot be divided, so it would be refused."""
    text = b"x" * 99 + b"\n"
    marks = Marks(stored)
    assert marks.has(Push(Source("shop", JOB), "", first, end, text, 1, "peer")) is is_stored


@given(st.lists(st.integers(1, 20), min_size=1), st.data())
def test_each_range_is_stored_once(sizes: list[int], data: st.DataObject) -> None:
    """Each byte is stored once, in order, with any repeats and any divisions."""
    ends = [sum(sizes[: count + 1]) for count in range(len(sizes))]
    marks, stored, sent = Marks(), [], 0

    def send(first: int, last: int) -> None:
        one = push("", ends[first - 1] if first else 0, ends[last])
        try:
            if not marks.has(one):
                stored.extend(range(first, last + 1))
                marks.add("", one.end)
        except PartlyStored:
            assert last > first, "a single result cannot be stored in part"
            middle = (first + last) // 2
            send(first, middle)
            send(middle + 1, last)

    while sent < len(sizes):
        first = data.draw(st.integers(0, sent))
        last = data.draw(st.integers(max(first, sent - 1), len(sizes) - 1))
        send(first, last)
        sent = max(sent, last + 1)
    assert stored == list(range(len(sizes)))


def test_other_keys_are_remembered_for_a_while() -> None:
    """The latest keys are known, and pushes without a key never are."""
    marks = Marks()
    for number in range(MAX_KEYS + 1):
        marks.add(f"key-{number}", 0)
    assert not marks.has(push("key-0"))
    assert marks.has(push("key-1"))
    assert marks.has(push(f"key-{MAX_KEYS}"))
    marks.add("", 0)
    assert not marks.has(push(""))
    copy = marks.copy()
    copy.add("new", 0)
    assert not marks.has(push("new"))
