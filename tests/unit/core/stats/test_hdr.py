"""HdrHistogram's formats, read by a library of that project's own format."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given
from hypothesis import strategies as st

from goloagent.core.stats.hdr import decode, encode, hgrm, hlog, sparse, value_at
from goloagent.core.stats.histogram import Histogram

VALUES = st.lists(st.integers(0, 2**62), max_size=50)


def of(values: list[int]) -> Histogram:
    """Return a histogram of values."""
    histogram = Histogram()
    histogram.record(values)
    return histogram


def read_by_hdr(histogram: Histogram) -> HdrHistogram:
    """Return what the library reads of our encoding."""
    return HdrHistogram.decode(encode(histogram))


@given(VALUES)
def test_a_reader_finds_each_value(values: list[int]) -> None:
    """Their number is the same, and the value at each place in order is within 0.1 %."""
    read = read_by_hdr(of(values))
    assert read.get_total_count() == len(values)
    for place, value in enumerate(sorted(values), 1):
        found = read.get_value_at_percentile(100 * place / len(values))
        assert found == pytest.approx(value, rel=0.001, abs=1)


@given(VALUES)
def test_decoding_returns_the_buckets(values: list[int]) -> None:
    """A histogram that was encoded and decoded has the same counts, and encodes as before."""
    before = of(values)
    after = decode(encode(before))
    assert list(after.counts()) == list(before.counts())
    assert encode(after) == encode(before)


@pytest.mark.parametrize("encoded", ["", "?", "AAAA", "A" * 64, encode(of([1]))[:-8]])
def test_what_is_no_encoding(encoded: str) -> None:
    """Bytes of a peer cannot do more than raise."""
    with pytest.raises(ValueError, match=r"."):
        decode(encoded)


def test_merged_parts_are_the_whole() -> None:
    """Twenty encodings added by the library encode as the whole does, byte for byte."""
    draw = random.Random(1)
    parts = [[int(draw.lognormvariate(15, 2)) for _ in range(500)] for _ in range(20)]
    merged, whole = Histogram(), HdrHistogram(1, 2**63 - 1, 3)
    for values in parts:
        merged.merge(of(values))
        whole.add(read_by_hdr(of(values)))
    assert encode(merged) == encode(of([value for values in parts for value in values]))
    everything = read_by_hdr(merged)
    assert everything.get_total_count() == whole.get_total_count() == 10_000
    for percentile in (1, 50, 90, 99, 99.9, 100):
        assert everything.get_value_at_percentile(percentile) == whole.get_value_at_percentile(
            percentile
        )


def test_a_log_is_read(tmp_path: Path) -> None:
    """Each interval has its time, its length and its values."""
    log = tmp_path / "stats.hlog"
    intervals = [(0, 1, of([1_000_000] * 3)), (1, 0.5, of([7])), (2, 1, of([]))]
    log.write_text(
        "".join(hlog(1e9, [(at, s, one.maximum, encode(one)) for at, s, one in intervals]))
    )
    reader = HistogramLogReader(str(log), HdrHistogram(1, 2**63 - 1, 3))
    read = []
    while (interval := reader.get_next_interval_histogram()) is not None:
        begin, end = interval.get_start_time_stamp(), interval.get_end_time_stamp()
        read.append((begin, end, interval.get_total_count()))
    assert read == [
        (1e12, 1e12 + 1000, 3),
        (1e12 + 1000, 1e12 + 1500, 1),
        (1e12 + 2000, 1e12 + 3000, 0),
    ]


def test_a_distribution_is_that_of_the_library(tmp_path: Path) -> None:
    """Percentiles ascend to 100 %, in milliseconds; the mean is exact."""
    histogram = of([1_000_000 * number for number in range(1, 1001)])
    library = read_by_hdr(histogram)
    head, *lines, mean, most, buckets = hgrm(histogram)
    rows = [line.split() for line in lines]
    for value, share, *_ in rows:
        found = library.get_value_at_percentile(100 * float(share)) / 1e6
        assert float(value) == pytest.approx(found, rel=0.002)  # it may be the next value
    theirs = tmp_path / "theirs.hgrm"
    with theirs.open("wb") as file:
        library.output_percentile_distribution(file, 1e6)
    their_lines = theirs.read_text().splitlines(keepends=True)
    assert (head, buckets) == ("".join(their_lines[:2]), their_lines[-1])
    assert rows[0][1:] == ["0.000000000000", "1", "1.00"]
    assert rows[-1] == ["1000.000", "1.000000000000", "1000"]
    medians = [float(value) for value, share, *_ in rows if float(share) == 0.5]
    assert medians == [pytest.approx(500, rel=0.001)]
    assert "500.500" in mean
    assert "1000.000" in most


def test_no_values() -> None:
    """An empty histogram has a form too."""
    assert read_by_hdr(Histogram()).get_total_count() == 0
    assert len(list(hgrm(Histogram()))) == 4


@given(VALUES)
def test_the_places_of_an_encoding(values: list[int]) -> None:
    """They have the counts of the buckets, at the values that `decode` finds."""
    encoded = encode(of(values))
    found = [(value_at(place), count) for place, count in sparse([encoded])]
    assert found == [(middle, count) for middle, _, count in decode(encoded).counts()]


@given(VALUES, VALUES)
def test_the_places_of_several(values: list[int], others: list[int]) -> None:
    """They have the counts of the values of all encodings."""
    found = [
        (value_at(place), count) for place, count in sparse(map(encode, map(of, (values, others))))
    ]
    assert found == [
        (middle, count) for middle, _, count in decode(encode(of(values + others))).counts()
    ]


@pytest.mark.parametrize("encoded", ["", "AAAA", encode(of([1]))[:-8]])
def test_places_of_what_is_no_encoding(encoded: str) -> None:
    """Reading them raises as decoding does."""
    with pytest.raises(ValueError, match=r"."):
        sparse([encoded])
