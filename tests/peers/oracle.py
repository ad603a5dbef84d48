"""Says what became of every result: lost, repeated, missing or never printed.

A load test numbers its results and notes each number apart from stdout (`emitted`); the lines of
out.log are what the agent wrote; the batches are what the collector took. An ``Idempotency-Key``
names the bytes of out.log that its batch was read from: ``<job id>/<first byte>-<last byte>``.
Compares values; reads and waits for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import attrs


@attrs.frozen
class Verdict:
    """The outcome of the results of one run, each by its number."""

    lost: list[str]
    """Written to out.log, never taken by the collector."""
    repeated: list[str]
    """Taken more than once, once for every time after the first."""
    unrecognised: list[str]
    """Repeats outside the bytes of every key seen before, which no collector could recognise."""
    missing: list[str]
    """Emitted, and not in out.log although a later one is: a hole."""
    unwritten: list[str]
    """Emitted at the end and not in out.log: the tail that a kill may take."""
    never_printed: list[str]
    """Taken by the collector, never emitted."""

    @property
    def exact(self) -> bool:
        """Whether each emitted result was written and taken once."""
        return not any(attrs.astuple(self))


def numbers(log: bytes) -> dict[str, int]:
    """Return the numbers of the results in an out.log, and where the line of each begins."""
    found = {}
    position = 0
    for line in log.splitlines(keepends=True):
        try:
            number = json.loads(line)["sequenceID"]
        except (ValueError, TypeError, KeyError):
            number = None
        if number is not None:
            found[number] = position
        position += len(line)
    return found


def judge(
    emitted: Sequence[str],
    log: bytes,
    batches: Iterable[tuple[str | None, Sequence[str]]],
    rejected: Iterable[str] = (),
) -> Verdict:
    """Compare what was emitted with out.log and the taken batches, each a key and its numbers."""
    written = numbers(log)
    taken: set[str] = set()
    repeated: list[str] = []
    unrecognised: list[str] = []
    ranges: list[tuple[int, int]] = []
    for key, batch in batches:
        for number in batch:
            if number in taken:
                repeated.append(number)
                position = written.get(number)
                if position is None or not any(first <= position <= last for first, last in ranges):
                    unrecognised.append(number)
            taken.add(number)
        if key is not None:
            first, last = key.rsplit("/", 1)[1].split("-")
            ranges.append((int(first), int(last)))
    last_written = max(
        (index for index, number in enumerate(emitted) if number in written), default=-1
    )
    known = set(emitted)
    settled = taken.union(rejected)
    return Verdict(
        lost=[number for number in written if number not in settled],
        repeated=repeated,
        unrecognised=unrecognised,
        missing=[number for number in emitted[: last_written + 1] if number not in written],
        unwritten=list(emitted[last_written + 1 :]),
        never_printed=sorted(taken - known),
    )
