"""What each version of Landlock is asked for."""

from __future__ import annotations

import pytest

from goloagent.sandbox import landlock

# linux/landlock.h, by the ABI that brought it.
EXECUTE_TO_MAKE_SYM, REFER, TRUNCATE = (1 << 13) - 1, 1 << 13, 1 << 14


@pytest.mark.parametrize(
    ("version", "rights", "scopes"),
    [
        (1, EXECUTE_TO_MAKE_SYM, 0),
        (2, EXECUTE_TO_MAKE_SYM | REFER, 0),
        (3, EXECUTE_TO_MAKE_SYM | REFER | TRUNCATE, 0),
        (5, EXECUTE_TO_MAKE_SYM | REFER | TRUNCATE, 0),
        (6, EXECUTE_TO_MAKE_SYM | REFER | TRUNCATE, 3),
        (99, EXECUTE_TO_MAKE_SYM | REFER | TRUNCATE, 3),
    ],
)
def test_no_version_is_asked_for_more_than_it_knows(version: int, rights: int, scopes: int) -> None:
    """An older one would refuse; a later one is asked for what is known today."""
    assert (landlock.rights(version), landlock.scopes(version)) == (rights, scopes)
