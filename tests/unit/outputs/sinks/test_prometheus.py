"""Remote write: what a request has, and what each response of a receiver means."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import attrs
import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers import remote_write
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from goloagent.concurrency.steps import finish
from goloagent.core.stats.histogram import Histogram
from goloagent.core.timeline import LIMITS, Times, Window
from goloagent.load.generator_limits import CAUSES
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.seconds import Second, SecondsBatch, Totals
from goloagent.outputs.sink import Disposition, Response
from goloagent.outputs.sinks.prometheus.series_labels import series_labels
from goloagent.outputs.sinks.prometheus.sink import HEADERS, PrometheusSink
from goloagent.outputs.sinks.prometheus.write_request import Histograms, write_request

START = datetime(2026, 1, 2, 3, 4, 5, 250_000, tzinfo=timezone.utc)
START_MS = round(START.timestamp() * 1000)
RUN = RunLabels("id-1", "shop", "run-1", "agent-1", tags={"release": "1.4.2"})
OK = Response(204)


def window(at: int, durations: list[int], **values: Any) -> Second:
    """Return the window of a second."""
    histogram = Histogram()
    histogram.record(durations)
    made = Window(float(at), 1.0, results=len(durations), duration=Times.of(histogram), **values)
    return Second(made, (at + 1) * 1000)


def batch(seconds: list[Second], first: int = 0, is_last: bool = False) -> SecondsBatch:
    """Return the batch of windows after `first`, of all windows from the start."""
    before, rest = Totals(), []
    for second in seconds:
        if second.end <= first:
            before.add(second.window)
        else:
            rest.append(second)
    return SecondsBatch(START, "open", first, tuple(rest), before, before.results, is_last)


def series_of(
    made: SecondsBatch, kind: Histograms = Histograms.NATIVE, run: RunLabels = RUN
) -> dict[str, remote_write.Series]:
    """Return the series of a batch by name and further label, without the run's labels."""
    labels = series_labels(run)
    found = remote_write.decode(finish(write_request(made, labels, kind)))
    named = {}
    for series, samples in found.items():
        own = dict(series)
        assert labels.items() <= own.items()
        rest = [value for name, value in own.items() if name not in (*labels, "__name__")]
        named[" ".join([own["__name__"], *rest])] = samples
    return named


def test_all_causes_have_a_series() -> None:
    """The causes of limits are those that the agent detects."""
    assert set(LIMITS) == set(CAUSES)


def test_the_series_of_a_run() -> None:
    """Counters begin with zero and end with a stale marker; levels have the marker only."""
    seconds = [
        window(0, [10**6] * 3, planned=99.5, scheduled=5, started=4, dropped=1, succeeded=3),
        window(1, [], in_flight=1, errors=2, bytes=70, invalid=6, failed=1, limited=("ports",)),
    ]
    found = series_of(batch(seconds, is_last=True))
    times = [START_MS, START_MS + 1000, START_MS + 2000, START_MS + 3000]

    def values(name: str) -> list[float | None]:
        samples = found[name].samples
        assert list(samples) == times[-len(samples) :]
        return list(samples.values())

    assert values("golo_calls_scheduled_total") == [0, 5, 5, None]
    assert values("golo_calls_started_total") == [0, 4, 4, None]
    assert values("golo_calls_dropped_total") == [0, 1, 1, None]
    assert values("golo_calls_ok_total") == [0, 3, 3, None]
    assert values("golo_calls_failed_total") == [0, 0, 1, None]
    assert values("golo_results_total") == [0, 3, 3, None]
    assert values("golo_result_errors_total") == [0, 0, 2, None]
    assert values("golo_result_bytes_total") == [0, 0, 70, None]
    assert values("golo_lines_invalid_total") == [0, 0, 6, None]
    assert values("golo_planned open") == [99.5, 0, None]
    assert values("golo_calls_in_flight") == [0, 1, None]
    assert values("golo_limited ports") == [0, 1, None]
    assert values("golo_limited agent-cpu") == [0, 0, None]
    durations = found["golo_duration_seconds"].histograms
    assert list(durations) == times
    assert durations[times[0]] == (0, 0.0, 0, {})
    assert durations[times[1]] == durations[times[2]]
    assert durations[times[1]] is not None
    count, total, _, buckets = durations[times[1]]  # type: ignore[misc]
    assert (count, list(buckets.values())) == (3, [3])
    assert total == pytest.approx(0.003, rel=0.001)
    assert durations[times[3]] is None
    assert len(found) == 9 + 2 + len(LIMITS) + 2


def test_the_end_alone() -> None:
    """The end of a run after its last window has the same markers, and nothing else."""
    seconds = [window(0, [10**6])]
    whole = series_of(batch(seconds, is_last=True))
    end = series_of(batch(seconds, first=1000, is_last=True))
    assert set(end) == set(whole)
    for name, series in end.items():
        assert {START_MS + 2000: None} in (series.samples, series.histograms)
        assert whole[name].samples.get(START_MS + 2000) is None


def test_classic_histograms() -> None:
    """Buckets count all durations up to their bound, within the width of ours."""
    second = window(0, [0, 900_000, 2_000_000, 10_000_000, 10_030_000, 70 * 10**9])
    for kind in (Histograms.CLASSIC, Histograms.BOTH):
        found = series_of(batch([second]), kind)
        at = START_MS + 1000
        name = "golo_duration_seconds"
        bounds = ("0.001", "0.0025", "0.005", "0.01", "0.025", "60", "+Inf")
        counts = [found[f"{name}_bucket {bound}"].samples[at] for bound in bounds]
        assert counts == [2, 3, 3, 4, 5, 5, 6]
        assert found[f"{name}_count"].samples == {START_MS: 0, at: 6}
        total = found[f"{name}_sum"].samples[at]
        assert total == pytest.approx(70.02293, rel=0.001)
        assert (name in found) is (kind is Histograms.BOTH)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 12), st.booleans())
def test_a_batch_in_parts(results: list[int], split: int, is_last: bool) -> None:
    """Parts have the samples of the whole batch: a repeat in other parts changes nothing."""
    seconds = [window(at, [10**6 * (at + 1)] * n) for at, n in enumerate(results)]
    whole = batch(seconds, is_last=is_last)
    if not 0 < split < len(seconds):
        split = len(seconds)
    parts = whole.take(split) if split < len(seconds) else (whole,)
    together: dict[str, remote_write.Series] = {}
    for part in parts:
        for name, series in series_of(part).items():
            one = together.setdefault(name, remote_write.Series())
            assert not one.samples.keys() & series.samples.keys()
            one.samples |= series.samples
            one.histograms |= series.histograms
    assert together == series_of(whole)


@pytest.mark.parametrize(
    ("tags", "labels"),
    [
        ({"release": "1.4.2"}, {"release": "1.4.2"}),
        ({"a-b": "1", "a.b": "2"}, {"a_b": "1", "a_b_2": "2"}),
        (
            {"job": "x", "le": "y", "job_id": "z"},
            {"tag_job": "x", "tag_le": "y", "tag_job_id": "z"},
        ),
        ({"__name__": "x"}, {"tag_name": "x"}),
        ({"1st": "x", "é": "y"}, {"tag_1st": "x", "tag": "y"}),
        ({"empty": ""}, {}),
    ],
)
def test_tags(tags: dict[str, str], labels: dict[str, str]) -> None:
    """Tags have names that Prometheus allows, and replace no label of the run."""
    run = attrs.evolve(RUN, tags=tags)
    own = {"job": "golo", "instance": "agent-1", "run": "run-1", "name": "shop", "job_id": "id-1"}
    assert series_labels(run) == own | labels


def test_long_values_are_cut() -> None:
    """The length of a value is bounded."""
    assert len(series_labels(attrs.evolve(RUN, tags={"text": "x" * 9999}))["text"]) == 1024


@attrs.define
class Receiver:
    """Stores samples as Prometheus does, or responds with `answer`."""

    stored: dict[Any, dict[int, Any]] = attrs.Factory(dict)
    answer: Response | None = None
    requests: int = 0

    async def post(
        self, path: str, body: bytes, content_type: str, headers: Mapping[str, str]
    ) -> Response:
        assert (path, content_type) == ("/api/v1/write", "application/x-protobuf")
        assert headers == HEADERS
        self.requests += 1
        if self.answer is not None:
            return self.answer
        found = remote_write.decode(bytes(cramjam.snappy.decompress_raw(body)))
        new: dict[Any, dict[int, Any]] = {}
        for labels, series in found.items():
            had = self.stored.get(labels, {})
            newest = max(had, default=0)
            new[labels] = series.samples | series.histograms
            for at, value in new[labels].items():
                if at < newest:
                    return Response(400, text="out of order sample\n")
                if at == newest and had[at] != value:
                    return Response(400, text="duplicate sample for timestamp\n")
        for labels, samples in new.items():
            self.stored.setdefault(labels, {}).update(samples)
        return OK

    async def check(self) -> str | None:
        return None

    async def close(self) -> None:
        """Do nothing."""


def send(receiver: Receiver, made: SecondsBatch) -> Response:
    """Send a batch."""
    sink = PrometheusSink("http://there", receiver, Clock())
    found: list[Response] = []
    ensureDeferred(sink.send(RUN, made, 0)).addCallback(found.append)
    return found[0]


SECONDS = [window(at, [10**6 * (at + 1)] * at) for at in range(9)]


@pytest.mark.parametrize("stored", range(10))
def test_a_repeat(stored: int) -> None:
    """The windows that are not stored yet are stored, whatever a first attempt has stored."""
    whole, once = Receiver(), Receiver()
    assert send(once, batch(SECONDS, is_last=True)).disposition is Disposition.DELIVERED
    if stored:
        assert send(whole, batch(SECONDS[:stored])).disposition is Disposition.DELIVERED
    whole.requests = 0
    assert send(whole, batch(SECONDS, is_last=True)).disposition is Disposition.DELIVERED
    assert whole.stored == once.stored
    assert whole.requests <= 2 * len(SECONDS) + 1
    assert send(whole, batch(SECONDS, is_last=True)).disposition is Disposition.DELIVERED
    assert send(whole, batch(SECONDS, 9000, is_last=True)).disposition is Disposition.DELIVERED
    assert whole.stored == once.stored


@pytest.mark.parametrize(
    ("status", "text", "disposition", "part"),
    [
        (204, "", Disposition.DELIVERED, ""),
        (503, "", Disposition.RETRY, "503"),
        (500, "native histograms are disabled\n", Disposition.PAUSE, "histograms=classic"),
        (
            404,
            "remote write receiver needs to be enabled with --enable-feature=x\n",
            Disposition.PAUSE,
            "--web.enable-remote-write-receiver",
        ),
        (404, "404 page not found\n", Disposition.PAUSE, "404 page not found: there is no remote"),
        (405, "", Disposition.PAUSE, "correct the output's URL"),
        (400, "out of bounds\n", Disposition.PAUSE, "out_of_order_time_window"),
        (400, "(err-mimir-sample-timestamp-too-old)", Disposition.PAUSE, "Mimir"),
        (400, "(err-mimir-sample-duplicate-timestamp)", Disposition.DELIVERED, ""),
        (409, "add 5 samples: out of order sample", Disposition.DELIVERED, ""),
        (409, "conflict", Disposition.PAUSE, "409 conflict"),
        (400, "label name is invalid", Disposition.SPLIT, "label name is invalid"),
        (413, "", Disposition.SPLIT, "413"),
        (200, "\n<!DOCTYPE html><title>Login", Disposition.PAUSE, "200 with a web page"),
    ],
)
def test_responses(status: int, text: str, disposition: Disposition, part: str) -> None:
    """A wrong setting pauses, with what to set; nothing is given up."""
    found = send(Receiver(answer=Response(status, text=text)), batch(SECONDS))
    assert found.disposition is disposition
    assert part in str(found)
