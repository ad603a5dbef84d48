"""The results of a batch as rows of a table, by column, and as JSON objects with labels. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, repeat
from typing import Any

import attrs
from msgspec import json

from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.results.parser import parse
from goloagent.results.table import error_text

COLUMNS = (
    *("job", "run", "name", "agent", "ordinal", "timestamp", "method", "url", "status"),
    *("duration", "size", "error", "sequence_id", "tags"),
)
"""The columns of a table of results, in order."""


@attrs.frozen
class Rows:
    """The results of a batch; a missing member is None.

    Args:
        labels: job, run, name and agent, which all rows share.
        ordinals: of the results in the run, from 0.
        timestamps: RFC 3339, with any number of digits in a fraction.
        durations: in nanoseconds.
        errors: strings as they are, other values as JSON.
        tags: of the job as JSON, which all rows share.
    """

    labels: tuple[str, str, str, str]
    ordinals: range
    timestamps: Sequence[str]
    methods: Sequence[str | None]
    urls: Sequence[str | None]
    statuses: Sequence[int | None]
    durations: Sequence[int | None]
    sizes: Sequence[int | None]
    errors: Sequence[str | None]
    sequence_ids: Sequence[str | None]
    tags: str

    def __len__(self) -> int:
        return len(self.ordinals)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Yield a tuple for each result, in the order of `COLUMNS`."""
        shared = (repeat(label) for label in self.labels)
        return zip(*shared, self.ordinals, *self.members, repeat(self.tags), strict=False)

    @property
    def members(self) -> tuple[Sequence[Any], ...]:
        """The columns from `timestamp` to `sequence_id`."""
        return (
            *(self.timestamps, self.methods, self.urls, self.statuses, self.durations),
            *(self.sizes, self.errors, self.sequence_ids),
        )


def rows_of(run: RunLabels, batch: Batch, ordinal: int) -> Rows:
    """Return the results of a batch, the first of which has a number in its run.

    Raises:
        ValueError: lines of the batch are no results.
    """
    results = parse(batch.text).results
    if len(results) != batch.results:
        raise ValueError(f"only {len(results)} of {batch.results} lines are results")
    timestamps = b"\n".join([one.timestamp for one in results]).decode()  # without escapes
    return Rows(
        (run.job, run.run, run.name, run.agent),
        range(ordinal, ordinal + len(results)),
        timestamps[1:-1].split('"\n"') if results else [],
        [one.method for one in results],
        [one.url for one in results],
        [one.status for one in results],
        [one.duration for one in results],
        [one.size for one in results],
        [None if one.error is None else error_text(one.error) for one in results],
        [one.sequenceID for one in results],
        json.encode(dict(run.tags)).decode(),
    )


def objects_of(run: RunLabels, batch: Batch, ordinal: int) -> list[bytes]:
    """Return a JSON object for each result, in one line, with the result as it was printed."""
    labels = {"job": run.job, "run": run.run, "name": run.name, "agent": run.agent}
    begin = json.encode(labels)[:-1] + b',"ordinal":'
    middle = b',"tags":%b,"result":' % json.encode(dict(run.tags))
    return [
        b"%b%d%b%b}" % (begin, number, middle, line)
        for number, line in zip(count(ordinal), batch.lines, strict=False)
    ]
