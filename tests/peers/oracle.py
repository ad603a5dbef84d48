"""Classify every result of a run: lost, repeated, missing or never printed. Pure.

The load test notes each number (`emitted`) before it prints it; out.log has the written lines; the
batches are those that the collector stored. An ``Idempotency-Key`` names the bytes of out.log in
its batch: ``<job id>/<first byte>-<last byte>``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

import attrs


@attrs.frozen
class Comparison:
    """The numbers of the results with each defect."""

    lost: list[str]
    """Written to out.log, never stored."""
    repeated: list[str]
    """Stored more than once, one entry per repeat."""
    unrecognised: list[str]
    """Repeats outside the bytes of every earlier key, which no collector can recognise."""
    missing: list[str]
    """Emitted and not in out.log although a later one is."""
    unwritten: list[str]
    """Emitted at the end and not in out.log, such as after a kill."""
    never_printed: list[str]
    """Stored, never emitted."""

    @property
    def exact(self) -> bool:
        """Whether each emitted result was written and stored once."""
        return not any(attrs.astuple(self))


def numbers(log: bytes) -> dict[str, int]:
    """Return the number of each result in an out.log, with the offset of its line."""
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


def compare(
    emitted: Sequence[str],
    log: bytes,
    batches: Iterable[tuple[str | None, Sequence[str]]],
    rejected: Iterable[str] = (),
) -> Comparison:
    """Compare the emitted numbers with out.log and with the key and numbers of stored batches."""
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
    return Comparison(
        lost=[number for number in written if number not in settled],
        repeated=repeated,
        unrecognised=unrecognised,
        missing=[number for number in emitted[: last_written + 1] if number not in written],
        unwritten=list(emitted[last_written + 1 :]),
        never_printed=sorted(taken - known),
    )


# Compares the results of the job with an ID and a name.
Comparing = Callable[..., Comparison]
