"""The oracle of the accounting tests sees each kind of loss, and nothing where there is none."""

from __future__ import annotations

import attrs
import pytest
from peers.oracle import Comparison, compare

EMITTED = ["1", "2", "3", "4"]
LINES = [b'{"sequenceID":"%d"}\n' % number for number in range(1, 5)]
LOG = b"".join(LINES)
CLEAN = Comparison([], [], [], [], [], [])
LENGTH = len(LINES[0])


def key(first: int, last: int) -> str:
    """Return the key of the batch with the results `first` to `last`."""
    return f"job/{(first - 1) * LENGTH}-{last * LENGTH - 1}"


def test_a_clean_run_is_exact() -> None:
    """Everything written and taken once is exact."""
    comparison = compare(EMITTED, LOG, [(key(1, 2), ["1", "2"]), (key(3, 4), ["3", "4"])])
    assert comparison == CLEAN
    assert comparison.exact


@pytest.mark.parametrize(
    ("log", "batches", "wrong"),
    [
        (LOG, [(key(1, 3), ["1", "2", "3"])], {"lost": ["4"]}),
        (LINES[0] + LINES[2], [(None, ["1", "3"])], {"missing": ["2"], "unwritten": ["4"]}),
        (LOG, [(key(1, 4), [*EMITTED, "5"])], {"never_printed": ["5"]}),
        (LOG, [(key(1, 4), EMITTED), (key(3, 4), ["3", "4"])], {"repeated": ["3", "4"]}),
        (
            LOG,
            [(key(1, 2), ["1", "2"]), (key(3, 4), ["2", "3", "4", "4"])],
            {"repeated": ["2", "4"], "unrecognised": ["4"]},
        ),
        (LOG[:-5], [(key(1, 3), ["1", "2", "3"])], {"unwritten": ["4"]}),
    ],
    ids=["lost", "hole and tail", "never printed", "repeated", "unrecognised", "torn"],
)
def test_each_fault_is_named(
    log: bytes, batches: list[tuple[str, list[str]]], wrong: dict[str, list[str]]
) -> None:
    """A fault appears under its own name and under no other."""
    comparison = compare(EMITTED, log, batches)
    assert comparison == attrs.evolve(CLEAN, **wrong)
    assert not comparison.exact


def test_a_rejected_result_is_not_lost() -> None:
    """Results that the agent reports as rejected are accounted for."""
    assert compare(EMITTED, LOG, [(key(1, 3), ["1", "2", "3"])], rejected=["4"]).exact
