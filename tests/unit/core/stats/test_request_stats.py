"""Results by method, URL and status, within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from unit.core.stats.results import result

from goloagent.core.record import Record
from goloagent.core.stats.error_groups import ErrorGroups
from goloagent.core.stats.request_stats import (
    MAX_METHOD_CHARS,
    MAX_ROWS,
    MAX_URL_CHARS,
    RequestStats,
)
from goloagent.core.stats.summary import RowSummary, UrlSummary
from goloagent.core.thresholds import Selector

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


def _urls(table: RequestStats) -> list[UrlSummary]:
    return [url for url in table.urls() if url is not None]


@given(records=st.lists(results), max_rows=st.integers(1, 40))
def test_the_total_of_a_url_has_all_its_results(records: list[Record], max_rows: int) -> None:
    """A URL that has a row counts all its results; the URLs and the others are the whole."""
    table = _table(records, max_rows)
    of_rows = {row.url for row in table.rows()}
    urls = {url.url: url for url in _urls(table)}
    assert set(urls) == of_rows
    for name, url in urls.items():
        those = [record for record in records if (record.url or "") == name]
        errors = sum(map(_is_error, those))
        durations = [max(0, record.duration or 0) for record in those]
        assert (url.results, url.errors, url.error_share) == (
            len(those),
            errors,
            errors / len(those),
        )
        assert url.latency is not None
        assert url.latency.max == max(durations) / 1e9
        assert url.method is None or {row.method for row in table.rows() if row.url == name} == {
            url.method
        }
    others = table.other_urls()
    totals = [*urls.values(), *([others] if others else [])]
    assert sum(each.results for each in totals) == len(records)
    assert sum(each.errors for each in totals) == table.errors
    assert sum(each.bytes for each in totals) == table.bytes


SELECTORS = (
    Selector(),
    Selector((("url", "a"),)),
    Selector((("method", "P*"), ("status", "?0?"))),
    Selector((("url", "nowhere"),)),
)


@given(
    windows=st.lists(st.lists(results, max_size=12), min_size=1, max_size=3),
    max_rows=st.integers(1, 40),
)
def test_windows_have_what_the_selectors_select(windows: list[list[Record]], max_rows: int) -> None:
    """Each window has its own results, those beyond the rows too."""
    table = RequestStats(max_rows, selectors=SELECTORS)
    for records in windows:
        table.add(records)
        window = table.rotate()
        for selector, found in [(Selector(), window), *window.by_selector.items()]:
            those = [
                record
                for record in records
                if selector.matches(
                    url=record.url or "", method=record.method or "", status=record.status or 0
                )
            ]
            durations = [max(0, record.duration or 0) for record in those]
            assert (found.results, found.errors, found.durations.total) == (
                len(those),
                sum(map(_is_error, those)),
                sum(durations),
            )
            assert found.bytes == sum(max(0, record.size or 0) for record in those)
        assert list(window.by_selector) == list(SELECTORS)
    assert table.rotate().results == 0
    assert table.errors == sum(_is_error(record) for records in windows for record in records)


def test_results_of_a_known_url_beyond_the_rows() -> None:
    """Errors that begin after all rows are taken are in the share of their URL."""
    table = RequestStats(2)
    table.add([result(url="a"), result(url="b"), *3 * [result(url="a", status=500)]])
    table.add([result(url="new", status=500)])
    shares = {url.url: (url.results, url.error_share) for url in _urls(table)}
    assert shares == {"a": (4, 0.75), "b": (1, 0.0)}
    other, other_urls = table.other(), table.other_urls()
    assert other is not None
    assert other_urls is not None
    assert (other.results, other_urls.results) == (4, 1)


def test_the_groups_of_errors_have_the_members_of_rows() -> None:
    """A status that is an error needs no text; a success with a text is an error."""
    groups = ErrorGroups()
    table = RequestStats(errors=groups)
    long_url = "u" * MAX_URL_CHARS
    table.add([result(), result(status=500), result(status=500), result(error=Raw(b'"EOF"'))])
    table.add([result(url=long_url + "1", status=None), result(url=long_url + "2", status=None)])
    assert groups.top() == [
        (("", "GET", "http://localhost/", 500), 2),
        (("", "GET", long_url, 0), 2),
        (("EOF", "GET", "http://localhost/", 200), 1),
    ]
