"""The protobuf format: what Prometheus reads from it, and who gets it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers import exposition, protobuf
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, UntypedMetricFamily
from unit.metrics.test_exporter import exporter

from goloagent.core.stats.histogram import Histogram
from goloagent.core.stats.native_histogram import native
from goloagent.core.timeline import Window
from goloagent.metrics.exporter import PrometheusExporter
from goloagent.metrics.protobuf import CONTENT_TYPE, encode, is_preferred

# The Accept header of Prometheus 2.42 with native histograms, without them, and of 3.0 with them.
NATIVE = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    "application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;"
    "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
TEXT = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
LATER = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;"
    "q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


def loaded() -> tuple[PrometheusExporter, Histogram]:
    """Return an exporter with durations of results, and these."""
    one = exporter()
    durations = Histogram()
    durations.record([0, 3_000, 2_000_000, 2_000_000, 2_100_000, 40_000_000, 10**11])
    one.load.add("open", Window(0, 1, planned=99.5), durations, Histogram())
    one.count_refusal(404)
    return one, durations


def test_it_has_what_the_text_has() -> None:
    """Every sample has the same name, labels and value."""
    one, _ = loaded()
    text = exposition.samples(one.expose("")[1].decode())
    content_type, body = one.expose(NATIVE)
    assert content_type == CONTENT_TYPE
    found = protobuf.samples(body)
    changing = ("process_",)
    assert found.keys() == text.keys()
    assert {name: value for name, value in found.items() if not name.startswith(changing)} == {
        name: value for name, value in text.items() if not name.startswith(changing)
    }


def test_types_and_help_texts() -> None:
    """Counters have their suffix, and all have a help text."""
    one, _ = loaded()
    found = {family.name: family for family in protobuf.families(one.expose(NATIVE)[1])}
    assert all(family.help for family in found.values())
    assert found["golo_agent_calls_started_total"].type == protobuf.COUNTER
    assert found["golo_agent_planned_rate"].type == protobuf.GAUGE
    assert found["golo_agent_build_info"].type == protobuf.GAUGE
    assert found["golo_agent_push_duration_seconds"].type == protobuf.HISTOGRAM
    assert "golo_agent_last_job_passed" not in found


def test_durations_are_native_histograms() -> None:
    """They have the classic buckets too; other histograms have only these."""
    one, durations = loaded()
    found = {family.name: family for family in protobuf.families(one.expose(NATIVE)[1])}
    results = found["golo_agent_result_duration_seconds"].metrics[()]
    assert isinstance(results, protobuf.Histogram)
    made = native(durations)
    assert (results.schema, results.zero_threshold) == (5, 2**-20)
    assert results.zero_count == made.zero_count == 1
    assert results.spans == [*made.spans]
    assert results.deltas == [*made.deltas]
    assert results.count == results.buckets[float("inf")] == 7
    # Prometheus takes one without values for a native one because of its threshold.
    iterations = found["golo_agent_iteration_duration_seconds"].metrics[()]
    assert isinstance(iterations, protobuf.Histogram)
    assert (iterations.schema, iterations.zero_threshold, iterations.count) == (5, 2**-20, 0)
    pushes = found["golo_agent_push_duration_seconds"].metrics[()]
    assert isinstance(pushes, protobuf.Histogram)
    assert (pushes.schema, len(pushes.buckets)) == (None, 13)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,9}", fullmatch=True).filter(lambda name: name != "le"),
        st.text(st.characters(exclude_categories=["Cs"])),
    ),
    st.floats(allow_nan=False),
    st.lists(st.integers(0, 2**53), min_size=2, max_size=5).map(sorted),
)
def test_any_family(labels: dict[str, str], value: float, counts: list[int]) -> None:
    """Labels and numbers of any length are read as they are."""
    gauge = GaugeMetricFamily("level", "A level.", labels=[*labels])
    gauge.add_metric([*labels.values()], value)
    untyped = UntypedMetricFamily("other", "Another.", value=value)
    durations = HistogramMetricFamily("duration", "A duration.", labels=[*labels])
    bounds = [*map(str, range(len(counts) - 1)), "+Inf"]
    buckets = [(bound, float(count)) for bound, count in zip(bounds, counts, strict=True)]
    durations.add_metric([*labels.values()], buckets, value)
    empty = GaugeMetricFamily("empty", "Nothing.")
    first, second, third = protobuf.families(encode([gauge, empty, untyped, durations]))
    key = tuple(sorted(labels.items()))
    assert (first.name, first.help, first.metrics) == ("level", "A level.", {key: value})
    assert (second.name, second.metrics) == ("other", {(): value})
    one = third.metrics[key]
    assert isinstance(one, protobuf.Histogram)
    assert [*one.buckets.values()] == counts
    assert (one.count, one.total) == (counts[-1], value)


def test_nothing() -> None:
    """An empty registry is no message."""
    assert encode(CollectorRegistry().collect()) == b""


@pytest.mark.parametrize(
    ("accept", "preferred"),
    [
        (NATIVE, True),
        (LATER, True),
        (NATIVE.replace(";", " ; "), True),
        (NATIVE.upper(), True),
        (CONTENT_TYPE, True),
        (CONTENT_TYPE + ";q=0.5", True),
        (TEXT, False),
        ("", False),
        ("*/*", False),
        ("application/vnd.google.protobuf", False),
        (CONTENT_TYPE.replace("delimited", "text"), False),
        (CONTENT_TYPE.replace("MetricFamily", "Other"), False),
        (CONTENT_TYPE + ";q=0", False),
        (CONTENT_TYPE + ";q=x", False),
        (CONTENT_TYPE + ";q=nan", False),
        (CONTENT_TYPE + ";q=0.4,text/plain;q=0.5", False),
    ],
)
def test_who_gets_it(accept: str, preferred: bool) -> None:
    """A client that prefers it to the texts, and that reads this message in this encoding."""
    assert is_preferred(accept) is preferred
    assert (exporter().expose(accept)[0] == CONTENT_TYPE) is preferred
