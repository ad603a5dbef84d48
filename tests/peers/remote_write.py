"""Reads remote write requests with the protobuf library, as a receiver does."""

from __future__ import annotations

import struct
from typing import Any

import attrs
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_F = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "double": _F.TYPE_DOUBLE,
    "string": _F.TYPE_STRING,
    "int64": _F.TYPE_INT64,
    "uint64": _F.TYPE_UINT64,
    "uint32": _F.TYPE_UINT32,
    "sint32": _F.TYPE_SINT32,
    "sint64": _F.TYPE_SINT64,
}
# Those of prompb/types.proto and remote.proto that are written; repeated ones have a star.
_MESSAGES = {
    "Label": {1: "string name", 2: "string value"},
    "Sample": {1: "double value", 2: "int64 timestamp"},
    "BucketSpan": {1: "sint32 offset", 2: "uint32 length"},
    "Histogram": {
        1: "uint64 count_int",
        3: "double sum",
        4: "sint32 schema",
        5: "double zero_threshold",
        6: "uint64 zero_count_int",
        11: "*BucketSpan positive_spans",
        12: "*sint64 positive_deltas",
        15: "int64 timestamp",
    },
    "TimeSeries": {1: "*Label labels", 2: "*Sample samples", 4: "*Histogram histograms"},
    "WriteRequest": {1: "*TimeSeries timeseries"},
}


def _make_type() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="remote.proto", package="prometheus", syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field in fields.items():
            kind, label = field.split()
            made = message.field.add(name=label, number=number)
            made.label = _F.LABEL_REPEATED if kind.startswith("*") else _F.LABEL_OPTIONAL
            kind = kind.lstrip("*")
            if kind in _TYPES:
                made.type = _TYPES[kind]
            else:
                made.type, made.type_name = _F.TYPE_MESSAGE, f".prometheus.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))


_WriteRequest = _make_type()


@attrs.define
class Series:
    """The samples of a series by their time in milliseconds; None is a stale marker.

    A sample of a native histogram is its count, sum, count of zeros, and counts by bucket.
    """

    samples: dict[int, float | None] = attrs.Factory(dict)
    histograms: dict[int, tuple[int, float, int, dict[int, int]] | None] = attrs.Factory(dict)


def decode(body: bytes) -> dict[tuple[tuple[str, str], ...], Series]:
    """Return the series of a request by their labels, and check what the protocol demands."""
    request = _WriteRequest.FromString(body)
    found: dict[tuple[tuple[str, str], ...], Series] = {}
    for series in request.timeseries:
        labels = tuple((label.name, label.value) for label in series.labels)
        assert list(labels) == sorted(labels)
        assert all(value for _, value in labels)
        assert labels not in found
        one = found[labels] = Series()
        for sample in series.samples:
            assert sample.timestamp > max(one.samples, default=0)
            one.samples[sample.timestamp] = None if _is_stale(sample.value) else sample.value
        for sample in series.histograms:
            assert sample.timestamp > max(one.histograms, default=0)
            one.histograms[sample.timestamp] = None if _is_stale(sample.sum) else _buckets(sample)
    return found


def _is_stale(value: float) -> bool:
    return struct.pack(">d", value).hex() == "7ff0000000000002"


def _buckets(sample: Any) -> tuple[int, float, int, dict[int, int]]:
    assert sample.schema == 8
    assert sample.zero_threshold == 2**-20
    counts: dict[int, int] = {}
    deltas = iter(sample.positive_deltas)
    bucket = count = 0
    for span in sample.positive_spans:
        bucket += span.offset
        for _ in range(span.length):
            count += next(deltas)
            assert count >= 0
            counts[bucket] = count
            bucket += 1
    assert next(deltas, None) is None
    assert sample.count_int == sample.zero_count_int + sum(counts.values())
    return sample.count_int, sample.sum, sample.zero_count_int, counts
