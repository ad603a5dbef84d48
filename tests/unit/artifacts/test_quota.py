"""Which binaries make room for another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.artifacts.quota import QuotaExceeded, select_evictions
from goloagent.jobs.database import Content

OLD, MIDDLE, NEW = Content("old", 4), Content("middle", 3), Content("new", 2)
STORED = [OLD, MIDDLE, NEW]
COMING = Content("coming", 1)


@pytest.mark.parametrize(
    ("most", "needed", "removed"),
    [
        (10, (), []),
        (9, (), [OLD]),
        (6, (), [OLD]),
        (5, (), [OLD, MIDDLE]),
        (1, (), [OLD, MIDDLE, NEW]),
        (9, ("old",), [MIDDLE]),
        (5, ("old",), [MIDDLE, NEW]),
        (7, ("middle",), [OLD]),
    ],
)
def test_the_oldest_go_first(most: int, needed: tuple[str, ...], removed: list[Content]) -> None:
    """So many as it takes and no more, and never one that a job needs."""
    assert select_evictions(STORED, needed, COMING, most) == removed


@pytest.mark.parametrize(
    ("most", "needed"), [(0, ()), (4, ("old",)), (9, ("old", "middle", "new"))]
)
def test_no_room(most: int, needed: tuple[str, ...]) -> None:
    """What would not have room without the others is refused, in a sentence with the numbers."""
    needed_bytes = sum(content.size for content in STORED if content.sha256 in needed)
    with pytest.raises(
        QuotaExceeded, match=f"of 1 bytes: .* {most} bytes .*jobs need {needed_bytes}"
    ):
        select_evictions(STORED, needed, COMING, most)


def test_what_is_stored_already_costs_nothing() -> None:
    """It has room, whatever the others hold, and stays."""
    assert select_evictions(STORED, ("middle", "new"), OLD, 1) == []
    assert select_evictions(STORED, ("new",), OLD, 6) == [MIDDLE]


CONTENTS = st.lists(
    st.builds(Content, st.integers(0, 20).map(str), st.integers(0, 50)),
    unique_by=lambda content: content.sha256,
)


@given(CONTENTS, st.sets(st.integers(0, 20).map(str)), st.integers(0, 50), st.integers(0, 200))
def test_the_quota_holds(stored: list[Content], needed: set[str], size: int, most: int) -> None:
    """With the coming one all have room, nobody needs what goes, and nothing goes without need."""
    coming = Content("coming", size)
    try:
        removed = select_evictions(stored, needed, coming, most)
    except QuotaExceeded:
        assert size + sum(c.size for c in stored if c.sha256 in needed) > most
        return
    left = [content for content in stored if content not in removed]
    assert size + sum(content.size for content in left) <= most
    assert not {content.sha256 for content in removed} & needed
    if removed:
        assert size + removed[-1].size + sum(content.size for content in left) > most
    candidates = [content for content in stored if content.sha256 not in needed]
    assert removed == candidates[: len(removed)]
