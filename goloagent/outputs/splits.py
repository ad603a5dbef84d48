"""Batches of one run that were refused as a whole: if all parts pass, they were too large. Pure."""

from __future__ import annotations

import attrs


@attrs.frozen
class _Split:
    """A batch up to `end`, refused when the run had `rejected` rejections."""

    end: int
    body_bytes: int
    rejected: int


@attrs.frozen
class Splits:
    """The batches that are being sent in parts, the outermost first."""

    _all: list[_Split] = attrs.field(init=False, factory=list)

    def add(self, end: int, body_bytes: int, rejected: int) -> None:
        """Note that a batch is divided."""
        self._all.append(_Split(end, body_bytes, rejected))

    def passed(self, committed: int, rejected: int) -> list[int]:
        """Remove the batches whose parts are all committed; return the sizes of those too large.

        Args:
            rejected: the rejections of the run now.
        """
        too_large = []
        while self._all and self._all[-1].end <= committed:
            split = self._all.pop()
            if split.rejected == rejected:
                too_large.append(split.body_bytes)
        return too_large

    def clear(self) -> None:
        """Forget all."""
        self._all.clear()
