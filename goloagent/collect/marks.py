"""The marks of one source: which pushes are stored, so that a repeat is recognised. Pure."""

from __future__ import annotations

import attrs

from goloagent.collect.push import Push

MAX_KEYS = 256
"""The latest keys without a range that are remembered for each source."""


class PartlyStored(Exception):
    """Some results of the push are stored, and others are not; the client must divide it."""


@attrs.define
class Marks:
    """The end of the stored results in the log of their job, and the latest other keys.

    An agent sends its results in order, so all before the end were stored or given up.
    """

    end: int = 0
    keys: dict[str, None] = attrs.field(factory=dict)

    def has(self, push: Push) -> bool:
        """Return whether the results of a push are stored.

        A range may begin or end with lines that are no results. So the border of what is stored may
        be in the range of a single result, which is where there is room for it.

        Raises:
            PartlyStored: a part of them is.
        """
        if not push.has_range:
            return bool(push.key) and push.key in self.keys
        if push.first < self.end < push.end:
            if push.results == 1 and push.end - self.end >= len(push.text):
                return False
            if push.results == 1 and self.end - push.first >= len(push.text):
                return True
            raise PartlyStored(
                f"the results up to byte {self.end} of the log are stored; send the others alone"
            )
        return push.end <= self.end

    def add(self, key: str, end: int) -> None:
        """Note a push that is stored."""
        self.end = max(self.end, end)
        if key and not end:
            self.keys[key] = None
            if len(self.keys) > MAX_KEYS:
                del self.keys[next(iter(self.keys))]

    def copy(self) -> Marks:
        """Return marks that change independently."""
        return Marks(self.end, dict(self.keys))
