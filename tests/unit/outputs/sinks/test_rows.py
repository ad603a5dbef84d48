"""The rows and objects of a batch, for any results."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.sinks.rows import COLUMNS, objects_of, rows_of
from goloagent.results.parser import parse

RUN = RunLabels("j-1", 'sh"op', "r-1", "agent é", tags={"release": 'a"b', "nul": "\0"})
TIME = "2026-01-02T03:04:05.123456789Z"

INT64 = st.none() | st.integers(-(2**63), 2**63 - 1)
TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"]))
TIMES = st.sampled_from((TIME, "0000-02-29T00:00:00Z", "9999-12-31T23:59:59.9+23:59"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS, lambda inner: st.lists(inner, max_size=3)
)
RESULTS = st.fixed_dictionaries(
    {"timestamp": TIMES},
    optional={
        "sequenceID": TEXTS,
        "method": TEXTS,
        "url": TEXTS,
        "status": INT64,
        "duration": INT64,
        "size": INT64,
        "error": VALUES,
        "more": VALUES,
    },
)
LINES = st.lists(
    st.one_of(
        RESULTS.map(lambda one: json.dumps(one).encode()),
        RESULTS.map(lambda one: json.dumps(one, ensure_ascii=False).encode() + b" \r"),
        st.sampled_from((b"", b"no result", b'{"timestamp": 5}')),
    ),
    min_size=1,
    max_size=12,
)


def batch_of(*lines: bytes) -> Batch:
    """Return the batch of some lines of a log."""
    text = b"".join(line + b"\n" for line in lines)
    return Batch(100, 100 + len(text), text, tuple(parse(text).invalid_offsets))


@given(LINES, st.integers(0, 2**40))
def test_rows(lines: list[bytes], ordinal: int) -> None:
    """Each result is one row with its members and the labels of the run."""
    batch = batch_of(*lines)
    rows = rows_of(RUN, batch, ordinal)
    assert len(rows) == batch.results
    for number, (row, line) in enumerate(zip(rows, batch.lines, strict=True), ordinal):
        result = json.loads(line)
        found = dict(zip(COLUMNS, row, strict=True))
        tags = json.loads(found.pop("tags"))
        if not isinstance(result.get("error"), str | None):
            found["error"] = json.loads(found["error"])
        assert tags == RUN.tags
        assert found == {
            "job": "j-1",
            "run": "r-1",
            "name": 'sh"op',
            "agent": "agent é",
            "ordinal": number,
            "timestamp": result["timestamp"],
            "method": result.get("method"),
            "url": result.get("url"),
            "status": result.get("status"),
            "duration": result.get("duration"),
            "size": result.get("size"),
            "error": result.get("error"),
            "sequence_id": result.get("sequenceID"),
        }


@given(LINES, st.integers(0, 2**40))
def test_objects(lines: list[bytes], ordinal: int) -> None:
    """Each result is one line of JSON with the result as it was printed."""
    batch = batch_of(*lines)
    objects = objects_of(RUN, batch, ordinal)
    assert len(objects) == batch.results
    for number, (text, line) in enumerate(zip(objects, batch.lines, strict=True), ordinal):
        assert text.endswith(b',"result":%b}' % line)
        assert b"\n" not in text
        found = json.loads(text)
        assert found.pop("result") == json.loads(line)
        assert found == {
            "job": "j-1",
            "run": "r-1",
            "name": 'sh"op',
            "agent": "agent é",
            "ordinal": number,
            "tags": dict(RUN.tags),
        }


def test_surrogates() -> None:
    """Surrogates that are not part of a pair become replacement characters."""
    line = b'{"timestamp":"%b","url":"a\\ud800b","error":"\\udfff"}' % TIME.encode()
    (row,) = rows_of(RUN, batch_of(line), 0)
    found = dict(zip(COLUMNS, row, strict=True))
    assert (found["url"], found["error"]) == ("a\ufffdb", "\ufffd")


def test_a_line_that_is_no_result() -> None:
    """It is no result less that is delivered."""
    with pytest.raises(ValueError, match="only 0 of 1 lines are results"):
        rows_of(RUN, Batch(0, 8, b'{"url":\n'), 0)


def test_no_results() -> None:
    """A line that is too long has no row."""
    empty = Batch(0, 5_000_000, b"")
    assert list(rows_of(RUN, empty, 0)) == objects_of(RUN, empty, 0) == []
