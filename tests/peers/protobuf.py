"""Read Prometheus's protobuf format: the messages of ``io.prometheus.client``."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import attrs
from prometheus_client.utils import floatToGoString

COUNTER, GAUGE, HISTOGRAM = 0, 1, 4


@attrs.define
class Histogram:
    """One histogram: cumulative counts by upper bound, and the fields of a native one."""

    count: int = 0
    total: float = 0.0
    buckets: dict[float, int] = attrs.Factory(dict)
    schema: int | None = None
    zero_threshold: float = 0.0
    zero_count: int = 0
    spans: list[tuple[int, int]] = attrs.Factory(list)
    deltas: list[int] = attrs.Factory(list)


@attrs.define
class Family:
    """One metric: its values by labels."""

    name: str
    help: str
    type: int
    metrics: dict[tuple[tuple[str, str], ...], float | Histogram]


def families(data: bytes) -> list[Family]:
    """Return all metrics."""
    found = []
    while data:
        length, data = _varint(data)
        assert length <= len(data)
        found.append(_family(data[:length]))
        data = data[length:]
    return found


def samples(data: bytes) -> dict[str, float]:
    """Return every sample with the name and labels that it has in the text format."""
    found: dict[str, float] = {}
    for family in families(data):
        for labels, value in family.metrics.items():
            if not isinstance(value, Histogram):
                found[_name(family.name, labels)] = value
                continue
            for bound, count in value.buckets.items():
                bucket = (*labels, ("le", floatToGoString(bound)))
                found[_name(f"{family.name}_bucket", bucket)] = count
            found[_name(f"{family.name}_count", labels)] = value.count
            found[_name(f"{family.name}_sum", labels)] = value.total
    return found


def _name(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    shown = ",".join(f'{key}="{value}"' for key, value in sorted(labels))
    return f"{name}{{{shown}}}" if shown else name


def _family(data: bytes) -> Family:
    name, text, kind = "", "", COUNTER
    metrics: dict[tuple[tuple[str, str], ...], float | Histogram] = {}
    for field, value in _fields(data):
        if field == 1:
            name = value.decode()
        elif field == 2:
            text = value.decode()
        elif field == 3:
            kind = value
        else:
            assert field == 4, field
            labels, one = _metric(value)
            assert labels not in metrics
            metrics[labels] = one
    return Family(name, text, kind, metrics)


def _metric(data: bytes) -> tuple[tuple[tuple[str, str], ...], float | Histogram]:
    labels = []
    found: float | Histogram | None = None
    for field, value in _fields(data):
        if field == 1:
            label = dict(_fields(value))
            labels.append((label[1].decode(), label[2].decode()))
            continue
        assert found is None
        if field == 7:
            found = _histogram(value)
        else:
            assert field in (2, 3, 5), field
            ((_, found),) = _fields(value)
    assert found is not None
    return tuple(labels), found


def _histogram(data: bytes) -> Histogram:
    one = Histogram()
    for field, value in _fields(data):
        if field == 1:
            one.count = value
        elif field == 2:
            one.total = value
        elif field == 3:
            bucket = dict(_fields(value))
            one.buckets[bucket[2]] = bucket.get(1, 0)
        elif field == 5:
            one.schema = _signed(value)
        elif field == 6:
            one.zero_threshold = value
        elif field == 7:
            one.zero_count = value
        elif field == 12:
            span = dict(_fields(value))
            one.spans.append((_signed(span[1]), span[2]))
        else:
            assert field == 13, field
            one.deltas.append(_signed(value))
    return one


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the number and the value of each field."""
    while data:
        key, data = _varint(data)
        if key & 7 == 0:
            value, data = _varint(data)
            yield key >> 3, value
        elif key & 7 == 1:
            yield key >> 3, struct.unpack("<d", data[:8])[0]
            data = data[8:]
        else:
            assert key & 7 == 2, key
            length, data = _varint(data)
            assert length <= len(data)
            yield key >> 3, data[:length]
            data = data[length:]


def _varint(data: bytes) -> tuple[int, bytes]:
    value = 0
    for place, byte in enumerate(data):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, data[place + 1 :]
    raise AssertionError("a number is cut")


def _signed(value: int) -> int:
    return value >> 1 ^ -(value & 1)
