"""The points of results and of windows of the timeline, in line protocol. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from goloagent.concurrency.steps import Steps
from goloagent.core.record import Record
from goloagent.core.timeline import Times
from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.seconds import Second, SecondsBatch
from goloagent.outputs.sinks.influx.line_protocol import (
    error_text,
    job_tags,
    string_field,
    tag_set,
)
from goloagent.outputs.sinks.influx.times import PERIOD, milliseconds, point_time, since_epoch
from goloagent.results.parser import parse_steps

RESULTS = "golo_results"
SECONDS = "golo_seconds"

MAX_BODY_BYTES = 2 << 20
"""A body ends with the first line beyond it."""

_STEP_RESULTS = 256
_MAX_CACHED = 1_024

_COUNTS = (
    "scheduled", "started", "dropped", "succeeded", "failed", "in_flight",
    "results", "errors", "bytes", "invalid",
)  # fmt: skip


@attrs.frozen
class Body:
    """A body with whole lines, and the number of points in it."""

    text: bytes = attrs.field(repr=False)
    points: int


class ResultEncoder:
    """Encodes results; it knows the tags of the latest requests."""

    def __init__(self) -> None:
        self._tags: dict[tuple[str | None, str | None, int | None], str] = {}

    def bodies(self, run: RunLabels, batch: Batch, ordinal: int) -> Steps[list[Body]]:
        """Return the points of a batch; `ordinal` is the number of results before it.

        Raises:
            ValueError: lines of the batch are no results.
        """
        parsed = yield from parse_steps(batch.text)
        bodies = _Bodies()
        records = parsed.results
        if len(records) != batch.results:
            raise ValueError(f"only {len(records)} of {batch.results} lines are results")
        for start in range(0, len(records), _STEP_RESULTS):
            block = records[start : start + _STEP_RESULTS]
            bodies.add(self._lines(run, block, ordinal + start))
            yield
        return bodies.close()

    def _lines(self, run: RunLabels, records: Iterable[Record], ordinal: int) -> Iterator[str]:
        """Yield the line of each record, with its newline."""
        series = RESULTS + _run_tags(run)
        start = 0 if run.started_at is None else since_epoch(run.started_at)
        known = self._tags
        for number, record in enumerate(records, ordinal):
            error, status = record.error, record.status
            key = record.method, record.url, status
            tags = known.get(key)
            if tags is None:
                tags = self._add(*key)
            more = ""
            if record.sequenceID:
                more = f",sequence_id={string_field(record.sequenceID)}"
            if error is not None:
                more += f",error={string_field(error_text(error))}"
            millisecond = milliseconds(record.timestamp)
            if millisecond is None:
                millisecond = start
                more += f",timestamp={string_field(bytes(record.timestamp)[1:-1].decode())}"
            is_error = "true" if error is not None or not 0 < (status or 0) < 400 else "false"
            yield (
                f"{series}{tags} duration={record.duration or 0}e-9,is_error={is_error},"
                f"size={record.size or 0}i{more} {millisecond * PERIOD + number % PERIOD}\n"
            )

    def _add(self, method: str | None, url: str | None, status: int | None) -> str:
        if len(self._tags) >= _MAX_CACHED:
            self._tags.clear()
        named = {"method": method or "", "status": str(status or 0), "url": url or ""}
        tags = self._tags[method, url, status] = tag_set(named)
        return tags


def window_bodies(run: RunLabels, batch: SecondsBatch) -> Steps[list[Body]]:
    """Return the points of windows, each at the end of its window."""
    bodies = _Bodies()
    series = SECONDS + _run_tags(run) + tag_set({"model": batch.model})
    start = since_epoch(batch.start)
    for second in batch.seconds:
        bodies.add([f"{series} {_window_fields(second)} {point_time(start + second.end, 0)}\n"])
        yield
    return bodies.close()


class _Bodies:
    """Joins lines to bodies of at most `MAX_BODY_BYTES`, beyond which only one block may go."""

    def __init__(self) -> None:
        self._bodies: list[Body] = []
        self._parts: list[bytes] = []
        self._size = self._points = 0

    def add(self, lines: Iterable[str]) -> None:
        block = list(lines)
        part = "".join(block).encode("utf-8", "replace")
        if self._size and self._size + len(part) > MAX_BODY_BYTES:
            self._end()
        self._parts.append(part)
        self._size += len(part)
        self._points += len(block)

    def close(self) -> list[Body]:
        if self._points:
            self._end()
        return self._bodies

    def _end(self) -> None:
        self._bodies.append(Body(b"".join(self._parts), self._points))
        self._parts, self._size, self._points = [], 0, 0


def _run_tags(run: RunLabels) -> str:
    labels = {"agent": run.agent, "job": run.job, "name": run.name, "run": run.run}
    return tag_set({**labels, **job_tags(run.tags)})


def _window_fields(second: Second) -> str:
    window = second.window
    fields = [f"planned={window.planned!r}"]
    fields += [f"{name}={getattr(window, name)}i" for name in _COUNTS]
    for name in ("duration", "iteration"):
        times: Times = getattr(window, name)
        if times.histogram:  # without a value there is no percentile
            fields += [
                f"{name}_{of}={getattr(times, of) / 1e9!r}" for of in ("p50", "p95", "p99", "max")
            ]
    fields.append(f"limited={string_field(' '.join(window.limited))}")
    return ",".join(fields)
