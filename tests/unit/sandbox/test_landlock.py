"""The restrictions of each version of Landlock."""

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
def test_rights_and_scopes(version: int, rights: int, scopes: int) -> None:
    """An older kernel gets no unknown bits; a later one gets those known today."""
    assert (landlock.rights(version), landlock.scopes(version)) == (rights, scopes)
