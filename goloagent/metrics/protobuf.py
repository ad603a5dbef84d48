"""Encode metrics in the protobuf format of Prometheus, the only one with native histograms.

The messages are those of ``io.prometheus.client`` in metrics.proto, each after its length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from goloagent.core.protobuf import double, message, number, prefixed, signed, text
from goloagent.core.stats.native_histogram import ZERO_THRESHOLD, NativeHistogram

CONTENT_TYPE = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)

_MEDIA_TYPE, *_PARAMETERS = CONTENT_TYPE.lower().split("; ")
_TEXTS = ("application/openmetrics-text", "text/plain", "text/*", "*/*")

# The numbers of the types, and of the fields with a value of each.
_TYPES = {"counter": 0, "gauge": 1, "unknown": 3, "histogram": 4}
_FIELDS = {"counter": 3, "gauge": 2, "unknown": 5, "histogram": 7}


class Sample(Protocol):
    """One sample of a family, as in prometheus_client."""

    @property
    def name(self) -> str:
        """The name with its suffix."""

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels by name."""

    @property
    def value(self) -> float:
        """The value."""


class Family(Protocol):
    """One metric with all its samples; it may have a `NativeHistogram` as ``native``."""

    @property
    def documentation(self) -> str:
        """The help text."""

    @property
    def type(self) -> str:
        """The type."""

    @property
    def name(self) -> str:
        """The name without suffix."""

    @property
    def samples(self) -> Sequence[Sample]:
        """The samples."""


def is_preferred(accept: str) -> bool:
    """Return whether a client with this ``Accept`` header prefers this format to all texts."""
    own = text = 0.0
    for media_range in accept.lower().split(","):
        name, *parameters = (part.strip() for part in media_range.split(";"))
        if name == _MEDIA_TYPE and set(_PARAMETERS) <= set(parameters):
            own = max(own, _quality(parameters))
        elif name in _TEXTS:
            text = max(text, _quality(parameters))
    return own > 0 and own >= text


def _quality(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def encode(families: Iterable[Family]) -> bytes:
    """Return all families that have samples."""
    return b"".join(prefixed(_family(family)) for family in families if family.samples)


def _family(family: Family) -> bytes:
    # An info is a gauge with a suffix.
    kind = "gauge" if family.type == "info" else family.type
    samples = family.samples
    if kind == "histogram":
        name, metrics = family.name, _histograms(family)
    else:
        name = samples[0].name
        plain = [sample for sample in samples if sample.name == name]
        metrics = (
            _labels(sample.labels) + message(_FIELDS[kind], double(1, sample.value))
            for sample in plain
        )
    head = text(1, name) + text(2, family.documentation) + number(3, _TYPES[kind])
    return head + b"".join(message(4, metric) for metric in metrics)


def _histograms(family: Family) -> Iterator[bytes]:
    """Yield a metric for all samples that have the same labels except ``le``."""
    groups: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for sample in family.samples:
        labels = tuple((key, value) for key, value in sample.labels.items() if key != "le")
        groups.setdefault(labels, []).append(sample)
    native: NativeHistogram | None = getattr(family, "native", None)
    for key, samples in groups.items():
        body = b""
        for sample in samples:
            suffix = sample.name[len(family.name) :]
            if suffix == "_count":
                body += number(1, int(sample.value))
            elif suffix == "_sum":
                body += double(2, sample.value)
            elif suffix == "_bucket":
                bucket = number(1, int(sample.value)) + double(2, float(sample.labels["le"]))
                body += message(3, bucket)
        if native is not None:
            body += _native(native)
        yield _labels(dict(key)) + message(_FIELDS["histogram"], body)


def _native(native: NativeHistogram) -> bytes:
    spans = (signed(1, offset) + number(2, length) for offset, length in native.spans)
    return (
        signed(5, native.schema)
        + double(6, ZERO_THRESHOLD)
        + number(7, native.zero_count)
        + b"".join(message(12, span) for span in spans)
        + b"".join(signed(13, delta) for delta in native.deltas)
    )


def _labels(labels: Mapping[str, str]) -> bytes:
    return b"".join(message(1, text(1, key) + text(2, labels[key])) for key in sorted(labels))
