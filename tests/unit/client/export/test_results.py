"""Results as CSV, JSON Lines and Parquet, read by other programs."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from random import Random

import duckdb
import pyarrow.parquet
import pytest

from goloagent.client.errors import ClientError
from goloagent.client.export import parquet
from goloagent.client.export.export import WRITERS, export
from goloagent.client.export.output_file import OutputFile
from goloagent.client.export.parquet import microseconds
from goloagent.client.export.results import ResultFeed

RESULTS = [
    {
        "timestamp": "2026-01-02T03:04:05.123456789Z", "sequenceID": "a", "url": "/", "size": 12,
        "method": "GET", "status": 200, "duration": 1500000, "error": None, "other": [1],
    },
    {"timestamp": "2026-01-02T05:04:05+02:00", "url": 'a,"b"\nc', "error": "reset, \"by\"\npeer"},
    {"timestamp": "2026-01-02T03:04:06.5Z", "error": {"code": 7}, "duration": 9, "method": "ä"},
]  # fmt: skip
LINES = [json.dumps(result, ensure_ascii=False).encode() for result in RESULTS]
ROWS = [
    ("2026-01-02T03:04:05.123456789Z", "a", "GET", "/", "200", "12", "1500000", ""),
    ("2026-01-02T05:04:05+02:00", "", "", 'a,"b"\nc', "", "", "", 'reset, "by"\npeer'),
    ("2026-01-02T03:04:06.5Z", "", "ä", "", "", "", "9", '{"code": 7}'),
]
NAMES = ["timestamp", "sequenceID", "method", "url", "status", "size", "duration", "error"]


@contextmanager
def writing(directory: Path) -> Iterator[ResultFeed]:
    """Write results in all formats."""
    with ExitStack() as stack:
        yield ResultFeed(
            [
                make(stack.enter_context(OutputFile(directory / f"r.{name}")))
                for name, make in WRITERS.items()
            ]
        )


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_all_formats(tmp_path: Path, size: int) -> None:
    """Each has the results and nothing else, however the log arrives in pieces."""
    log = b"no result\n" + b"\n".join([LINES[0], b"{}", *LINES[1:]])
    with writing(tmp_path) as feed:
        for start in range(0, len(log), size):
            feed.feed(log[start : start + size])
        feed.close()
    assert (feed.results, feed.left_out) == (3, 2)
    assert (tmp_path / "r.jsonl").read_bytes() == b"\n".join(LINES) + b"\n"
    text = (tmp_path / "r.csv").read_bytes().decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [NAMES, *map(list, ROWS)]
    table = pyarrow.parquet.read_table(tmp_path / "r.parquet")
    assert table.column_names == NAMES
    first, second, third = table.to_pylist()
    assert first == {
        **{name: RESULTS[0].get(name) for name in NAMES},
        "timestamp": datetime(2026, 1, 2, 3, 4, 5, 123456, timezone.utc),
    }
    assert (second["timestamp"], second["status"]) == (
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
        None,
    )
    assert third["error"] == '{"code": 7}'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.csv", "r.jsonl", "r.parquet"]


def test_many_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups of rows are bounded, and another program has the same sums from all formats."""
    monkeypatch.setattr(parquet, "MAX_ROWS", 100)
    random = Random(1)
    durations = [random.randrange(10**9) for _ in range(1000)]
    with writing(tmp_path) as feed:
        for number, duration in enumerate(durations):
            second = f"2026-01-02T03:{number // 60:02}:{number % 60:02}"
            line = {"timestamp": f"{second}.{number:09}Z", "duration": duration, "status": 200}
            feed.feed(json.dumps(line).encode() + b"\n")
        feed.close()
    assert pyarrow.parquet.ParquetFile(tmp_path / "r.parquet").num_row_groups == 10
    for file in ("r.csv", "r.parquet", "r.jsonl"):
        name = str(tmp_path / file)
        source = f"read_json('{name}')" if file.endswith("jsonl") else f"'{name}'"
        query = f"SELECT count(*), sum(duration), min(status) FROM {source}"
        assert duckdb.sql(query).fetchall() == [(1000, sum(durations), 200)]


def test_no_results(tmp_path: Path) -> None:
    """An empty log has a table without rows."""
    with writing(tmp_path) as feed:
        feed.close()
    assert (tmp_path / "r.csv").read_text().strip() == ",".join(NAMES)
    assert pyarrow.parquet.read_table(tmp_path / "r.parquet").num_rows == 0


@pytest.mark.parametrize(
    ("timestamp", "time"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.1Z", 100_000),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("1970-01-01T01:30:00+01:30", 0),
        ("1969-12-31T23:00:00-01:00", 0),
        ("2026-11-28T17:00:00.123456+00:00", 1795885200_123456),
        ("0001-01-01T00:00:00Z", -62135596800_000000),
        ("0000-02-29T00:00:00Z", -62135596800_000000),
        ("9999-12-31T23:59:59.999999999Z", 253402300799_999999),
    ],
)
def test_microseconds(timestamp: str, time: int) -> None:
    """All offsets, fractions and years of results."""
    assert microseconds(timestamp) == time


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    """A file appears when it is complete."""
    path = tmp_path / "r.csv"
    path.write_text("old")
    with pytest.raises(TypeError), OutputFile(path) as file:
        file.write(None)  # type: ignore[arg-type]
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])
    with OutputFile(path) as file:
        file.write(b"new")
    assert (path.read_text(), list(tmp_path.iterdir())) == ("new", [path])


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    """The sentence names the file."""
    with pytest.raises(ClientError, match="no such file"), OutputFile(tmp_path / "no" / "r.csv"):
        pass
    with pytest.raises(ClientError, match="is a directory"), OutputFile(tmp_path):
        pass
    with (
        pytest.raises(ClientError, match="/dev/full: no space left on device"),
        OutputFile(Path("/dev/full")) as file,
    ):
        file.write(b"x" * 100_000)


def test_pyarrow_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The sentence has the command that installs it; no agent is asked, and no file is written."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ClientError, match=r"pip install 'golo-agent\[parquet\]'"):
        export(None, "last", {"parquet": tmp_path / "r.parquet"})  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_two_files_of_one_name(tmp_path: Path) -> None:
    """No agent is asked, and no file is written."""
    both = {"csv": tmp_path / "r", "jsonl": tmp_path / "r"}
    with pytest.raises(ClientError, match="two files have the same name"):
        export(None, "last", both)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
