"""Ranks of values, and the exact distribution of the sum of some of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import comb


def doubled_ranks(values: Sequence[float]) -> list[int]:
    """Return twice the rank of each value, from 2 on; equal values have the mean of their ranks."""
    ordered = sorted(values)
    first = {value: place for place, value in reversed(list(enumerate(ordered)))}
    last = {value: place for place, value in enumerate(ordered)}
    return [first[value] + last[value] + 2 for value in values]


class RankSums:
    """The sum of the ranks of `size` values, if each choice of them is as likely as any other.

    The choices are counted for all sizes at once: a long integer for each, with a digit for each
    sum, so that one shift and one addition are those of all sums.

    Args:
        ranks: of all values; whole numbers from 1 on.
    """

    def __init__(self, ranks: Sequence[int], size: int) -> None:
        bits = len(ranks) + 1  # all choices together are fewer than that power of two
        ways = [1] + [0] * size
        for rank in ranks:
            for chosen in range(size, 0, -1):
                ways[chosen] += ways[chosen - 1] << rank * bits
        counts, mask = ways[size], (1 << bits) - 1
        digits = -(-counts.bit_length() // bits)
        text = counts.to_bytes(digits * bits // 8 + 1, "little")
        self._upto = list(
            accumulate(
                int.from_bytes(text[place * bits // 8 : (place + 1) * bits // 8 + 1], "little")
                >> place * bits % 8
                & mask
                for place in range(digits)
            )
        )
        self._all = comb(len(ranks), size)

    def at_most(self, total: int) -> float:
        """Return the probability of a sum of `total` or less."""
        return self._count(total) / self._all

    def two_sided(self, total: int) -> float:
        """Return twice the probability of a sum at least as far out as `total`, 1 at most."""
        tail = min(self._count(total), self._all - self._count(total - 1))
        return min(1.0, 2 * tail / self._all)

    def _count(self, total: int) -> int:
        """Return the number of choices whose sum is `total` or less."""
        return self._upto[min(total, len(self._upto) - 1)] if total >= 0 else 0
