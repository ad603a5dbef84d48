"""The times of points, no two of which are the same in a run. Pure.

InfluxDB has one point for a time and a set of tags: a second one replaces it. So the time of a
result is its timestamp to the millisecond, with the ordinal of the result in the digits below. Two
results of a run have the same time only if `PERIOD` results lie between them and both are of the
same millisecond. The time is the same on each repeat.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from msgspec import Raw

PERIOD = 1_000_000
"""Nanoseconds in a millisecond, and as many ordinals."""

MAX_TIME = 2**63 - 2 - PERIOD
"""The latest time, in nanoseconds since 1970; the earliest has the other sign."""

MAX_CACHED = 4_096

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND_CHARS = 24  # with the quote before it
_OFFSET_CHARS = 7  # with the quote behind it
_UTC = ord("Z")
_cached: dict[bytes, int | None] = {}


def milliseconds(timestamp: Raw) -> int | None:
    """Return the JSON text of an RFC 3339 time in milliseconds since 1970, rounded down.

    None is a time that InfluxDB cannot have: before 1678 or after 2261.
    """
    text = bytes(timestamp)
    key = text[:_MILLISECOND_CHARS]
    if text[-2] != _UTC:
        key += text[-_OFFSET_CHARS:]
    try:
        return _cached[key]
    except KeyError:
        if len(_cached) >= MAX_CACHED:
            _cached.clear()
        found = _cached[key] = _parse(text)
        return found


def point_time(millisecond: int, ordinal: int) -> int:
    """Return the time of a point, in nanoseconds since 1970."""
    return millisecond * PERIOD + ordinal % PERIOD


def since_epoch(time: datetime) -> int:
    """Return a time in milliseconds since 1970."""
    return (time - _EPOCH) // timedelta(milliseconds=1)


def _parse(text: bytes) -> int | None:
    end = -2 if text[-2] == _UTC else -_OFFSET_CHARS
    try:
        time = datetime.fromisoformat(text[1:20].decode()).replace(tzinfo=timezone.utc)
    except ValueError:
        return None  # the year 0
    millisecond = since_epoch(time) + int((text[21:end] + b"000")[:3])
    if end != -2:
        minutes = int(text[-6:-4]) * 60 + int(text[-3:-1])
        millisecond -= (minutes if text[end:].startswith(b"+") else -minutes) * 60_000
    return millisecond if abs(millisecond) * PERIOD <= MAX_TIME else None
