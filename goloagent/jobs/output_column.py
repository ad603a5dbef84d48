"""The checkpoints of outputs in the row of a job, and in its manifest. Pure."""

from __future__ import annotations

import msgspec

from goloagent.core.output_schemes import COLLECTOR, RESULT, SECOND
from goloagent.jobs.job import Checkpoint

MAX_COUNT = 1 << 53
"""Results or bytes; the sum of a few counts is an integer of SQLite."""


def read_outputs(text: str | bytes) -> dict[str, Checkpoint]:
    """Read the checkpoints of outputs; raises ValueError if they are damaged."""
    outputs = msgspec.json.decode(text, type=dict[str, Checkpoint])
    check_outputs(outputs)
    return outputs


def check_outputs(outputs: dict[str, Checkpoint]) -> None:
    """Raise ValueError if checkpoints of outputs are damaged."""
    if COLLECTOR in outputs:
        raise ValueError("two checkpoints of the collector")
    for one in outputs.values():
        counts = one.delivered, one.rejected, one.abandoned, one.committed
        if min(counts) < 0:
            raise ValueError("a negative number")
        if max(counts) > MAX_COUNT:
            raise ValueError("an impossible number")
        if one.unit not in (RESULT, SECOND):
            raise ValueError("an unknown unit")
