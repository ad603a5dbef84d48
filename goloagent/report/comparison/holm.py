"""Holm's correction for several tests.

S. Holm: "A simple sequentially rejective multiple test procedure", 1979. It holds however the tests
depend on each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate


def holm(values: Sequence[float]) -> list[float]:
    """Return each p adjusted, so that a level holds for all tests together."""
    order = sorted(range(len(values)), key=values.__getitem__)
    steps = [values[place] * (len(values) - step) for step, place in enumerate(order)]
    adjusted = dict(zip(order, accumulate(steps, max), strict=True))
    return [min(1.0, adjusted[place]) for place in range(len(values))]
