"""The errors of a run by method, URL, status and message, the most frequent ones in any case."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from msgspec import DecodeError, Raw
from msgspec.json import Decoder

TOP = 100
CAPACITY = 500
"""Groups that stay; further ones are found if the messages of errors differ in each."""

_BLOCK = 2 * CAPACITY
MAX_MESSAGE_CHARS = 300

_decode_text = Decoder(str).decode


class ErrorKey(NamedTuple):
    """The members that errors of one group share; a failed call has a message only."""

    message: str
    method: str = ""
    url: str = ""
    status: int = 0


Members = tuple[str, str, str, int]
"""The members of an `ErrorKey`, which takes twice as long to make."""


def message_of(error: object) -> str:
    """Return the text of a result's `error`, a JSON text: a string, or the text of another value.

    None, of a result whose status is an error, has no text.
    """
    if not isinstance(error, Raw):
        return "" if error is None else shorten(str(error))
    try:
        return shorten(_decode_text(error))
    except DecodeError:  # another value, or a string that JSON's readers do not agree on
        return shorten(bytes(error).decode(errors="replace"))


def shorten(message: str) -> str:
    """Return the first `MAX_MESSAGE_CHARS` of a message, by which messages are compared."""
    if len(message) > MAX_MESSAGE_CHARS:
        return message[: MAX_MESSAGE_CHARS - 1] + "…"
    return message


class ErrorGroups:
    """Counts errors in constant memory: the same errors in the same order give the same groups.

    After each thousand errors, the `CAPACITY` groups with the most errors stay, and as many with
    the most of those thousand. So a group with three of each thousand errors stays from the first
    of them on, however many groups there are. A group's count misses errors from before it was
    dropped; `total` is exact.
    """

    def __init__(self) -> None:
        self._groups: Counter[Members] = Counter()
        self._recent: Counter[Members] = Counter()
        self.total = 0

    def add(self, keys: Sequence[Members]) -> None:
        """Count errors, whose messages are short."""
        start = 0
        while start < len(keys):
            end = start + _BLOCK - self.total % _BLOCK
            some = keys[start:end]
            self._recent.update(some)
            self.total += len(some)
            if self.total % _BLOCK == 0:
                self._groups.update(self._recent)
                if len(self._groups) > CAPACITY:
                    self._groups = self._most_frequent()
                self._recent.clear()
            start = end

    def top(self, number: int = TOP) -> list[tuple[ErrorKey, int]]:
        """Return the most frequent groups with their counts, in descending order."""
        groups = self._groups + self._recent if self._recent else self._groups
        top = heapq.nsmallest(number, groups.items(), key=lambda item: (-item[1], item[0]))
        return [(ErrorKey._make(key), count) for key, count in top]

    def _most_frequent(self) -> Counter[Members]:
        """Return the groups that stay; of equal ones, those that came first."""
        stay = {*_first(self._groups.items()), *_first(self._recent.items())}
        return Counter({key: count for key, count in self._groups.items() if key in stay})


def _first(groups: Iterable[tuple[Members, int]]) -> list[Members]:
    ordered = sorted(groups, key=itemgetter(1), reverse=True)
    return [key for key, _ in ordered[:CAPACITY]]
