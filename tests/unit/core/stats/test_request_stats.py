"""Results by method, URL and status, within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.core.stats.results import result

from goloagent.core.record import Record
from goloagent.core.stats.request_stats import (
    MAX_METHOD_CHARS,
    MAX_ROWS,
    MAX_URL_CHARS,
    RequestStats,
)
from goloagent.core.stats.summary import RowSummary

results = st.builds(
    result,
    url=st.sampled_from(["a", "b", "c", "", None]),
    method=st.sampled_from(["GET", "POST", None]),
    status=st.sampled_from([200, 404, 0, -1, None]),
    size=st.sampled_from([-1, 0, 7, None]),
    duration=st.integers(-1, 10) | st.none(),
    error=st.sampled_from([None, "refused", {}, ""]),
)


def _table(records: list[Record], max_rows: int = MAX_ROWS) -> RequestStats:
    table = RequestStats(max_rows)
    table.add(records)
    return table


def _row(table: RequestStats) -> RowSummary:
    (row,) = table.rows()
    return row


def _is_error(record: Record) -> bool:
    return record.error is not None or not 1 <= (record.status or 0) <= 399


@given(records=st.lists(results), max_rows=st.integers(1, 40))
def test_rows_are_the_results_of_their_kind(records: list[Record], max_rows: int) -> None:
    """Each row has the sums of its results, and `other` those of all further kinds."""
    kinds: dict[tuple[str, str, int], list[Record]] = {}
    rest = []
    for record in records:
        kind = record.method or "", record.url or "", record.status or 0
        if kind not in kinds and len(kinds) == max_rows:
            rest.append(record)
        else:
            kinds.setdefault(kind, []).append(record)

    def facts(those: list[Record]) -> tuple[int, int, int]:
        sizes = [record.size or 0 for record in those]
        return len(those), sum(map(_is_error, those)), sum(size for size in sizes if size > 0)

    table = _table(records, max_rows)
    actual = {
        (row.method, row.url, row.status): (row.results, row.errors, row.bytes)
        for row in table.rows()
    }
    assert actual == {kind: facts(those) for kind, those in kinds.items()}
    other = table.other()
    if rest:
        assert other is not None
        assert (other.results, other.errors, other.bytes) == facts(rest)
    else:
        assert other is None
    assert (table.errors, table.bytes) == facts(records)[1:]


@given(blocks=st.lists(st.lists(results)), max_rows=st.integers(1, 10))
def test_blocks_do_not_matter(blocks: list[list[Record]], max_rows: int) -> None:
    """Results in any blocks give the same statistics."""
    table = RequestStats(max_rows)
    for block in blocks:
        table.add(block)
    whole = _table([record for block in blocks for record in block], max_rows)
    assert list(table.rows()) == list(whole.rows())
    assert table.other() == whole.other()


def test_the_maximum_number_of_rows() -> None:
    """No row is added beyond it; existing rows still count."""
    records = [result(url=f"http://localhost/{number}") for number in range(MAX_ROWS + 500)]
    table = _table([*records, *records])
    rows = list(table.rows())
    assert len(rows) == MAX_ROWS
    assert {row.results for row in rows} == {2}
    other = table.other()
    assert other is not None
    assert other.results == 1000


def test_names_are_cut() -> None:
    """Names are cut at the maximum; those with the same start share a row."""
    long_name = "m" * MAX_METHOD_CHARS, "u" * MAX_URL_CHARS
    table = _table([result(method=long_name[0] + end, url=long_name[1] + end) for end in "xy "])
    row = _row(table)
    assert (row.method, row.url, row.results) == (*long_name, 3)


def test_rows_with_the_most_results_come_first() -> None:
    """Equal rows are ordered by name."""
    table = _table([result(url=url) for url in "cbbaddd"])
    assert [row.url for row in table.rows()] == ["d", "b", "a", "c"]


@pytest.mark.parametrize(
    ("record", "errors"),
    [
        (result(), 0),
        (result(status=1), 0),
        (result(status=399), 0),
        (result(status=400), 1),
        (result(status=503, error="down"), 1),
        (result(status=0), 1),
        (result(status=None), 1),
        (result(status=-200), 1),
        (result(error="EOF"), 1),
        (result(error={}), 1),  # as Go's errors.New is written
        (result(error=""), 1),
        (result(error=False), 1),
    ],
)
def test_an_error(record: Record, errors: int) -> None:
    """An error has an `error` that is not null, or a status that is no success."""
    assert _table([record]).errors == errors


def test_more_durations_than_are_pending() -> None:
    """Pending durations and those in the histogram are summed."""
    for count in (63, 64, 65, 1000):
        row = _row(_table([result(duration=number) for number in range(1, count + 1)]))
        assert row.latency is not None
        assert (row.results, row.latency.max) == (count, count / 1e9)


def test_the_maximum_sum_of_sizes() -> None:
    """The sum of sizes is at most 2**63 - 1, so that JSON readers accept it."""
    table = _table([result(size=2**63 - 1)] * 3)
    assert _row(table).bytes == table.bytes == 2**63 - 1
