"""The quota selects which contents to evict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.artifacts.quota import QuotaExceeded, select_evictions
from goloagent.jobs.database import Content

OLD, MIDDLE, NEW = Content("old", 4), Content("middle", 3), Content("new", 2)
STORED = [OLD, MIDDLE, NEW]
INCOMING = Content("incoming", 1)


@pytest.mark.parametrize(
    ("maximum", "needed", "incoming", "evicted"),
    [
        (10, (), INCOMING, []),
        (9, (), INCOMING, [OLD]),
        (5, (), INCOMING, [OLD, MIDDLE]),
        (1, (), INCOMING, [OLD, MIDDLE, NEW]),
        (9, ("old",), INCOMING, [MIDDLE]),
        (5, ("old",), INCOMING, [MIDDLE, NEW]),
        (7, ("middle",), INCOMING, [OLD]),
        # A stored content is never refused and never evicted for itself.
        (1, ("middle", "new"), OLD, []),
        (6, ("new",), OLD, [MIDDLE]),
    ],
)
def test_the_oldest_are_evicted(
    maximum: int, needed: tuple[str, ...], incoming: Content, evicted: list[Content]
) -> None:
    """Only as many as necessary, and none that a job needs."""
    assert select_evictions(STORED, needed, incoming, maximum) == evicted


@pytest.mark.parametrize(
    ("maximum", "needed"), [(0, ()), (4, ("old",)), (9, ("old", "middle", "new"))]
)
def test_a_content_that_does_not_fit_is_refused(maximum: int, needed: tuple[str, ...]) -> None:
    """The message has the numbers."""
    needed_bytes = sum(content.size for content in STORED if content.sha256 in needed)
    with pytest.raises(
        QuotaExceeded, match=f"of 1 bytes .* {maximum} bytes .*jobs need {needed_bytes}"
    ):
        select_evictions(STORED, needed, INCOMING, maximum)


CONTENTS = st.lists(
    st.builds(Content, st.integers(0, 20).map(str), st.integers(0, 50)),
    unique_by=lambda content: content.sha256,
)


@given(CONTENTS, st.sets(st.integers(0, 20).map(str)), st.integers(0, 50), st.integers(0, 200))
def test_the_quota_holds(stored: list[Content], needed: set[str], size: int, maximum: int) -> None:
    """The remaining contents fit, none evicted was needed, and none is evicted without need."""
    try:
        evicted = select_evictions(stored, needed, Content("incoming", size), maximum)
    except QuotaExceeded:
        assert size + sum(c.size for c in stored if c.sha256 in needed) > maximum
        return
    left = [content for content in stored if content not in evicted]
    assert size + sum(content.size for content in left) <= maximum
    if evicted:
        assert size + evicted[-1].size + sum(content.size for content in left) > maximum
    candidates = [content for content in stored if content.sha256 not in needed]
    assert evicted == candidates[: len(evicted)]
