"""The errors of a run, grouped in constant memory."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from goloagent.core.stats.error_groups import (
    CAPACITY,
    MAX_MESSAGE_CHARS,
    TOP,
    ErrorGroups,
    ErrorKey,
    message_of,
    shorten,
)


@given(st.lists(st.sampled_from("abcd")))
def test_few_groups_are_exact(messages: list[str]) -> None:
    """The most frequent group is the first, equal ones are in the order of their messages."""
    groups = ErrorGroups()
    groups.add([ErrorKey(message, "GET", "/", 500) for message in messages])
    expected = sorted(Counter(messages).items(), key=lambda item: (-item[1], item[0]))
    assert [(key.message, count) for key, count in groups.top()] == expected
    assert groups.total == len(messages)
    assert groups.top(1) == groups.top()[:1]


@given(
    kinds=st.lists(st.integers(1, 3000), max_size=5),
    cuts=st.lists(st.integers(0, 12_000), max_size=8),
)
def test_blocks_do_not_matter(kinds: list[int], cuts: list[int]) -> None:
    """The same errors in any blocks give the same groups, however many there are."""
    keys = [ErrorKey(str(number % kind)) for kind in kinds for number in range(2400)]
    whole, blocks = ErrorGroups(), ErrorGroups()
    whole.add(keys)
    ends = sorted({*(cut for cut in cuts if cut < len(keys)), len(keys)})
    for start, end in zip([0, *ends], ends, strict=False):
        blocks.add(keys[start:end])
    assert blocks.top() == whole.top()
    assert blocks.total == whole.total


@pytest.mark.parametrize("settled", [0, 600])
def test_a_frequent_group_stays_among_ever_new_ones(settled: int) -> None:
    """Three of each thousand errors stay, even after many groups with more; memory is bounded."""
    groups = ErrorGroups()
    groups.add([ErrorKey(f"settled {number}") for number in range(settled)] * 100)
    frequent = ErrorKey("connection refused")
    for start in range(0, 20_000, 1000):
        unique = [ErrorKey(f"request {start + number} timed out") for number in range(997)]
        groups.add([*unique[:500], frequent, frequent, frequent, *unique[500:]])
    assert groups._groups[frequent] == 60
    assert (frequent, 60) in groups.top(CAPACITY + 1)
    assert groups.total == 20_000 + settled * 100
    assert len(groups.top()) == TOP
    assert len(groups._groups) <= 2 * CAPACITY


def test_only_unique_errors() -> None:
    """There are groups at any moment."""
    groups = ErrorGroups()
    for number in range(5000):
        groups.add([ErrorKey(str(number))])
        assert groups.top(1)


def test_long_messages_share_a_group() -> None:
    """Only the first characters are compared, so stack traces may differ."""
    beginning = "x" * MAX_MESSAGE_CHARS
    assert len(shorten(beginning + "1")) == MAX_MESSAGE_CHARS
    assert shorten(beginning + "1") == shorten(beginning + "2") != shorten(beginning) == beginning


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (None, ""),
        (Raw(b'""'), ""),
        (Raw(b'"EOF"'), "EOF"),
        (Raw(b'"\\u00e9\\n"'), "é\n"),
        (Raw(b'{"Op":"dial"}'), '{"Op":"dial"}'),
        (Raw(b"false"), "false"),
        (Raw(b'"\\ud800"'), '"\\ud800"'),
        (Raw(b'"' + b"y" * 1000 + b'"'), "y" * (MAX_MESSAGE_CHARS - 1) + "…"),
    ],
)
def test_the_message_of_an_error(error: Raw | None, message: str) -> None:
    """A string is shown as it is, any other value as its JSON text."""
    assert message_of(error) == message
