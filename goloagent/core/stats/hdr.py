"""Histograms in the formats of HdrHistogram, which other tools read and merge.

The V2 encoding with 3 significant digits is described at
https://github.com/HdrHistogram/HdrHistogram (``AbstractHistogram.encodeIntoByteBuffer``), the log
of intervals (``.hlog``) and the percentile distribution (``.hgrm``) in its ``HistogramLogWriter``
and ``outputPercentileDistribution``.
"""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from operator import add

from goloagent.core.stats.histogram import Histogram, middle_of

# Of 3 significant digits: values below 2048 have a place each, then 1024 places an octave.
_HALF_BITS = 10
_LINEAR = 1 << _HALF_BITS
_DIGITS = 3
_PAYLOAD_COOKIE = 0x1C849313
_COMPRESSED_COOKIE = 0x1C849314
_HEADER = ">iiiiqqd"
# Level 6 takes five times as long for 5 % less.
_ZLIB_LEVEL = 3
_MAX_BODY_BYTES = 1 << 20
_MAX_PLACES = 64 * _LINEAR
_HIGHEST = 2**63 - 1
_OCTAVES = 53  # with a place each 1024th of them, up to the highest value
_MS = 1_000_000.0

PERCENTILE_TICKS = 5
"""Lines of a percentile distribution each time that the distance to 100 % halves."""


def encode(histogram: Histogram) -> str:
    """Return the compressed V2 encoding in base64.

    Each count is at the highest value below the middle of its bucket, because HDR tools report the
    highest value of theirs: so they read the percentiles that we report, less 1.
    """
    payload, following = bytearray(), 0
    for place, step, counts in _octaves(histogram):
        if place > following:
            payload += _zigzag(following - place)
        if max(counts) < 64:
            payload += bytes(step * len(counts))
            payload[-step * len(counts) :: step] = bytes(list(counts)).translate(_DOUBLED)
        else:
            encoded = [_ENCODED.get(count) or _zigzag(count) for count in counts]
            payload += bytes(step - 1).join(encoded) + bytes(step - 1)
        following = place + step * len(counts)
    del payload[len(payload.rstrip(b"\0")) :]
    body = struct.pack(_HEADER, _PAYLOAD_COOKIE, len(payload), 0, _DIGITS, 1, _HIGHEST, 1.0)
    packed = zlib.compress(body + payload, _ZLIB_LEVEL)
    return base64.b64encode(struct.pack(">ii", _COMPRESSED_COOKIE, len(packed)) + packed).decode()


def decode(encoded: str) -> Histogram:
    """Return the histogram of an encoding by `encode`; `least`, `most` and `total` are estimates.

    Raises:
        ValueError: it is not such an encoding, or has negative counts.
    """
    places = _places(_body(encoded))
    histogram = Histogram()
    for value, count in enumerate(places[:_LINEAR]):
        if count:
            histogram.record_times(value, count)
    for octave, start in enumerate(range(_LINEAR, len(places), _LINEAR), _HALF_BITS):
        pairs = places[start : start + _LINEAR]
        histogram.add_octave(octave, list(map(add, pairs[::2], [*pairs[1::2], 0])))
    return histogram


def sparse(encodings: Iterable[str]) -> list[tuple[int, int]]:
    """Return each of HDR's places with values, ascending, and its count in all encodings.

    It takes a tenth of the time of `decode`. A sum of counts is below 2**32.

    Raises:
        ValueError: as `decode`.
    """
    total = size = 0
    for encoded in encodings:
        counts = b"".join(_wide_counts(_body(encoded)))
        size = max(size, len(counts))
        total += int.from_bytes(counts, "little")
    places = struct.unpack(f"<{size // 4}I", total.to_bytes(size, "little"))
    return list(zip(compress(range(len(places)), places), filter(None, places), strict=True))


def value_at(place: int) -> int:
    """Return the value for which `encode` uses a place."""
    octave, rest = divmod(place, _LINEAR)
    return (_LINEAR + rest + 1) << (octave - 1) if octave else place


def hlog(start: float, intervals: Iterable[tuple[float, float, int, str]]) -> Iterator[str]:
    """Yield the lines of a histogram log.

    Args:
        start: of the first interval, in seconds since 1970.
        intervals: of each the begin, in seconds after `start`, the length in seconds, the maximum
            in nanoseconds, and the encoded histogram.
    """
    yield "#[Histogram log format version 1.3]\n"
    yield f"#[StartTime: {start:.3f} (seconds since epoch)]\n"
    yield '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
    for begin, seconds, maximum, encoded in intervals:
        yield f"{begin:.3f},{seconds:.3f},{maximum / _MS:.3f},{encoded}\n"


def hgrm(histogram: Histogram) -> Iterator[str]:
    """Yield the lines of a percentile distribution of nanoseconds, in milliseconds."""
    yield f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}\n\n"
    before, next_percentile = 0, 0.0
    for middle, _, count in histogram.counts():
        before += count
        value = min(max(middle, histogram.minimum), histogram.maximum) / _MS
        reached = 100 * before / histogram.count
        while next_percentile <= reached and before < histogram.count:
            share = next_percentile / 100
            yield f"{value:12.3f} {share:.12f} {before:10d} {1 / (1 - share):14.2f}\n"
            halvings = _halvings(next_percentile)
            next_percentile += 100 / (PERCENTILE_TICKS * 2 ** (halvings + 1))
    if histogram.count:
        yield f"{histogram.maximum / _MS:12.3f} {1:.12f} {histogram.count:10d}\n"
    mean = histogram.total / histogram.count / _MS if histogram.count else 0.0
    yield f"#[Mean    = {mean:12.3f}, StdDeviation   = {_deviation(histogram) / _MS:12.3f}]\n"
    yield f"#[Max     = {histogram.maximum / _MS:12.3f}, Total count    = {histogram.count:12d}]\n"
    yield f"#[Buckets = {_OCTAVES:12d}, SubBuckets     = {2 * _LINEAR:12d}]\n"


def _body(encoded: str) -> bytes:
    """Return the encoded counts.

    Raises:
        ValueError: it is not an encoding by `encode`.
    """
    try:
        packed = base64.b64decode(encoded, validate=True)
        body = zlib.decompressobj().decompress(packed[8:], _MAX_BODY_BYTES)
        cookie, length, offset, digits, *_ = struct.unpack_from(_HEADER, body)
    except (struct.error, zlib.error) as error:
        raise ValueError(f"not an HdrHistogram V2 encoding: {error}") from None
    counts: bytes = body[struct.calcsize(_HEADER) :]
    if (cookie, offset, digits, length) != (_PAYLOAD_COOKIE, 0, _DIGITS, len(counts)):
        raise ValueError(f"not an HdrHistogram V2 encoding with {_DIGITS} digits, or cut")
    return counts


def _octaves(histogram: Histogram) -> Iterator[tuple[int, int, Sequence[int]]]:
    """Yield counts in order with the first of HDR's places for them, and the places of each."""
    small = [0] * _LINEAR
    for octave, counts in histogram.octaves():
        if octave >= _HALF_BITS:
            if any(small):
                yield 0, 1, small
                small = []
            # Two places are one bucket of ours, and the first has the values below its middle.
            yield (octave - _HALF_BITS + 1) * _LINEAR, 2, counts
        else:
            for place, count in enumerate(counts):
                if count:
                    small[middle_of(octave, place)] += count
    if any(small):
        yield 0, 1, small


def _places(encoded: bytes) -> list[int]:
    """Return the count of each place.

    Raises:
        ValueError: a count is negative, or there are too many places.
    """
    places: list[int] = []
    for run, number in _NUMBERS.findall(encoded):
        if run:
            places += run.translate(_HALVED)
            continue
        value = _unzigzag(number)
        if len(places) - min(0, value) > _MAX_PLACES:
            raise ValueError("not an HdrHistogram V2 encoding: it has too many places")
        places += [value] if value >= 0 else bytes(-value)
    return places


def _wide_counts(encoded: bytes) -> Iterator[bytes | bytearray]:
    """Yield the counts of each place, of 4 bytes each; raise ValueError if it has too many."""
    places = 0
    for run, number in _NUMBERS.findall(encoded):
        value = 1 if run else _unzigzag(number)
        places += len(run) or max(1, -value)
        if places > _MAX_PLACES:
            raise ValueError("not an HdrHistogram V2 encoding: it has too many places")
        if run:
            wide = bytearray(4 * len(run))
            wide[::4] = run.translate(_HALVED)
            yield wide
        else:
            yield bytes(-4 * value) if value < 0 else min(value, 2**32 - 1).to_bytes(4, "little")


def _zigzag(value: int) -> bytes:
    """Return a whole number as ZigZag LEB128; HDR writes the ninth byte whole."""
    rest = (value << 1) ^ (value >> 63)
    encoded = bytearray()
    while rest > 0x7F and len(encoded) < 8:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


def _unzigzag(encoded: bytes) -> int:
    """Return the whole number of a ZigZag LEB128 sequence."""
    value = 0
    for place, byte in enumerate(encoded):
        value |= (byte if place == 8 else byte & 0x7F) << 7 * place
    return (value >> 1) ^ -(value & 1)


# Counts below 64 have a byte each, which is their double, and many are found at once. A number that
# is cut is left out.
_NUMBERS = re.compile(
    b"([%b]+)|([\x80-\xff]{0,7}[\x00-\x7f]|[\x80-\xff]{8}.)" % re.escape(bytes(range(0, 128, 2))),
    re.DOTALL,
)
_HALVED = bytes(byte >> 1 for byte in range(256))
_ENCODED = {count: _zigzag(count) for count in range(4096)}
_DOUBLED = bytes(byte << 1 & 0xFF for byte in range(256))


def _halvings(percentile: float) -> int:
    """Return how often the distance to 100 % has halved at a percentile."""
    return max(0, int(100 / (100 - percentile)).bit_length() - 1)


def _deviation(histogram: Histogram) -> float:
    """Return the standard deviation, of the buckets' middles."""
    if not histogram.count:
        return 0.0
    mean = histogram.total / histogram.count
    squares = sum(count * (middle - mean) ** 2 for middle, _, count in histogram.counts())
    return float((squares / histogram.count) ** 0.5)
