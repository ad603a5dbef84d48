"""The limit on open files suffices for what --max-connections allows, or the start says so."""

from __future__ import annotations

import resource

import pytest

from goloagent.core.descriptor_budget import PER_CONNECTION, RESERVED, reserve_of
from goloagent.host.descriptors import limit_for
from goloagent.host.startup_error import StartupError

NEEDED = RESERVED + 256 * PER_CONNECTION + reserve_of(0, 256)
NONE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [
        (NEEDED, NEEDED, NEEDED),
        (20000, 20000, 20000),
        (NONE, NONE, NONE),
        (64, NEEDED, NEEDED),
        (64, NONE, NEEDED),
        (NEEDED - 1, NEEDED + 1, NEEDED),
    ],
)
def test_the_soft_limit_is_raised_as_far_as_needed(soft: int, hard: int, expected: int) -> None:
    """And never lowered."""
    assert limit_for(256, soft, hard) == expected


def test_a_hard_limit_that_is_too_low() -> None:
    """Both numbers are in the sentence, with what to change."""
    with pytest.raises(StartupError) as refused:
        limit_for(256, 64, NEEDED - 1)
    sentence = str(refused.value)
    assert f"--max-connections 256 needs up to {NEEDED} open files" in sentence
    assert f"the limit is {NEEDED - 1}" in sentence
    assert "LimitNOFILE" in sentence


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [
        (1024, 524_288, NEEDED + 7_000),
        (NEEDED, NEEDED + 100, NEEDED + 100),
        (524_288, 524_288, 524_288),
        (1024, resource.RLIM_INFINITY, NEEDED + 7_000),
    ],
)
def test_more_descriptors_are_taken_if_there_are_any(soft: int, hard: int, expected: int) -> None:
    """The agent starts without those beyond its need."""
    assert limit_for(256, soft, hard, 7_000) == expected
