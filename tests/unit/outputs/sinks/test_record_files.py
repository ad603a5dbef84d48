"""Files of records have each result once, after any kills, repeats and failed writes."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from unit.outputs.world import results

from goloagent.core.output_parser import parse_option
from goloagent.core.output_setting import SettingError
from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.registry import SinkContext
from goloagent.outputs.sink import Disposition, Response
from goloagent.outputs.sinks import append_file, jsonl, parquet
from goloagent.outputs.sinks import csv as csv_sink
from goloagent.outputs.sinks.rows import COLUMNS

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ok", "kill", "kill in a write", "full", "unanswered"]),
        st.sampled_from(["one", "two"]),
        st.integers(1, 5),
    ),
    max_size=20,
)


class Thread:
    """Runs functions at once."""

    def run(self, function: Any, *args: Any) -> Deferred[Any]:
        return maybeDeferred(function, *args)


def sink(module: Any, path: Path | str) -> Any:
    """Return a new sink of a module for a path."""
    setting = parse_option(f"out={module.__name__.rpartition('.')[2]}:{path}")
    context: Any = SinkContext(None, Thread(), lambda *_: None)  # type: ignore[arg-type]
    return module.make(setting, context)


def send(made: Any, job: str, first: int, count: int) -> Response:
    """Send results from one number on."""
    text = results(count, first)
    batch = Batch(first, first + len(text), text)
    run = RunLabels(job, "shop", job, "agent", tags={"a": "b,\r\n"})
    found: list[Response] = []
    ensureDeferred(made.send(run, batch, first)).addCallback(found.append)
    return found[0]


def read(module: Any, path: Path) -> list[tuple[str, int, str]]:
    """Return the job, the ordinal and the id of each result in a file."""
    if module is jsonl:
        objects = [json.loads(line) for line in path.read_text().splitlines()]
        return [(one["job"], one["ordinal"], one["result"]["sequenceID"]) for one in objects]
    rows = [*csv.reader(io.StringIO(path.read_text(), newline=""))]
    if not rows:
        return []
    assert tuple(rows[0]) == COLUMNS
    named = [dict(zip(COLUMNS, row, strict=True)) for row in rows[1:]]
    return [(row["job"], int(row["ordinal"]), row["sequence_id"]) for row in named]


@given(st.sampled_from([jsonl, csv_sink]), STEPS)
def test_each_result_once(module: Any, steps: list[tuple[str, str, int]]) -> None:
    """A repeat is as long as the first attempt or shorter; another run may be first."""
    with TemporaryDirectory() as directory:
        check_history(module, Path(directory) / "results", steps)


def check_history(module: Any, path: Path, steps: list[tuple[str, str, int]]) -> None:
    """Write by steps, and compare what the file has."""
    made, committed = sink(module, path), {"one": 0, "two": 0}
    for event, job, count in steps:
        if event == "full":
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(append_file.os, "write", full_disk(os.write, count * 7))
                response = send(made, job, committed[job], count)
            assert response.disposition is Disposition.RETRY
            assert "No space left" in str(response)
            continue
        response = send(made, job, committed[job], count)
        assert response.disposition is Disposition.DELIVERED
        if event == "ok":
            committed[job] += count
            continue
        if event == "kill in a write":
            with path.open("r+b") as file:
                file.truncate(max(0, path.stat().st_size - count))
        if event.startswith("kill"):
            ensureDeferred(made.close())
            made = sink(module, path)
        # The batch is repeated before another one is sent, and may be shorter.
        for part in (count // 2, count - count // 2):
            assert send(made, job, committed[job], part).disposition is Disposition.DELIVERED
            committed[job] += part
    ensureDeferred(made.close())
    found = read(module, path) if path.exists() else []
    for job, count in committed.items():
        assert [one for one in found if one[0] == job] == [
            (job, number, str(number)) for number in range(count)
        ]


def full_disk(write: Any, size: int) -> Any:
    """Return a function that writes a number of bytes, and fails then."""
    left = [size]

    def write_until_full(descriptor: int, data: Any) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written: int = write(descriptor, data[: left[0]])
        left[0] -= written
        return written

    return write_until_full


@pytest.mark.parametrize("module", [jsonl, csv_sink])
def test_a_file_that_is_rotated(tmp_path: Path, module: Any) -> None:
    """Results after the rename are in a new file."""
    path = tmp_path / "results"
    made = sink(module, path)
    send(made, "one", 0, 3)
    path.rename(tmp_path / "old")
    send(made, "one", 3, 2)
    assert [one[1] for one in read(module, tmp_path / "old")] == [0, 1, 2]
    assert [one[1] for one in read(module, path)] == [3, 4]


@pytest.mark.parametrize("module", [jsonl, csv_sink])
def test_a_file_that_another_program_cuts(tmp_path: Path, module: Any) -> None:
    """The rest of a record does not corrupt the next one."""
    path = tmp_path / "results"
    made = sink(module, path)
    send(made, "one", 0, 3)
    os.truncate(path, path.stat().st_size - 20)
    assert send(made, "one", 3, 2).disposition is Disposition.DELIVERED
    assert [one[1] for one in read(module, path)] == [0, 1, 3, 4]
    os.truncate(path, 0)
    send(made, "one", 5, 1)
    assert [one[1] for one in read(module, path)] == [5]


@pytest.mark.parametrize("module", [jsonl, csv_sink])
def test_a_partial_write_that_cannot_be_undone(tmp_path: Path, module: Any) -> None:
    """As with ``chattr +a`` and a full disk: the next attempt repairs the file, or fails too."""

    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    path = tmp_path / "results"
    made = sink(module, path)
    send(made, "one", 0, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(append_file.os, "ftruncate", refused)
        patch.setattr(append_file.os, "write", full_disk(os.write, 250))
        assert "No space left" in str(send(made, "one", 1, 5))
        patch.setattr(append_file.os, "write", os.write)
        assert send(made, "one", 1, 5).disposition is Disposition.PAUSE
    assert send(made, "one", 1, 5).disposition is Disposition.DELIVERED
    assert [one[1] for one in read(module, path)] == list(range(6))


def test_a_directory(tmp_path: Path) -> None:
    """It gets a file for each run, however many there are."""
    made = sink(jsonl, tmp_path)
    for number in range(40):
        send(made, f"job-{number % 20}", number // 20, 1)
    paths = sorted(tmp_path.iterdir())
    assert [path.name for path in paths[:2]] == ["shop-job-0.jsonl", "shop-job-1.jsonl"]
    assert {len(read(jsonl, path)) for path in paths} == {2}


@pytest.mark.parametrize("module", [jsonl, csv_sink])
def test_a_directory_that_is_missing(tmp_path: Path, module: Any) -> None:
    """A slash at the end says that it is one; no file is made in its place."""
    made = sink(module, f"{tmp_path}/tables/")
    found: list[str | None] = []
    ensureDeferred(made.check()).addCallback(found.append)
    assert found == [f"there is no directory {tmp_path / 'tables'}; create it"]
    assert send(made, "one", 0, 1).disposition is Disposition.PAUSE
    assert not [*tmp_path.iterdir()]
    (tmp_path / "tables").mkdir()
    assert send(made, "one", 0, 1).disposition is Disposition.DELIVERED
    [path] = (tmp_path / "tables").iterdir()
    assert path.name.startswith("shop-one")
    with pytest.raises(SettingError, match="remove the / at the end"):
        sink(module, f"{path}/")


def test_two_agents(tmp_path: Path) -> None:
    """The second one waits until the first has ended."""
    one, two = sink(jsonl, tmp_path / "file"), sink(jsonl, tmp_path / "file")
    send(one, "one", 0, 1)
    response = send(two, "two", 0, 1)
    assert response.disposition is Disposition.PAUSE
    assert "another process writes to it" in str(response)
    ensureDeferred(one.close())
    assert send(two, "two", 0, 1).disposition is Disposition.DELIVERED


@pytest.mark.parametrize("text", ["", "no record\n", '{"job":"one"}\n'])
def test_a_file_of_another_program(tmp_path: Path, text: str) -> None:
    """Its whole lines stay."""
    path = tmp_path / "file"
    path.write_text(text + "a part")
    assert send(sink(jsonl, path), "one", 0, 1).disposition is Disposition.DELIVERED
    assert path.read_text().startswith(text + '{"job":"one"')


def test_a_missing_directory(tmp_path: Path) -> None:
    """It is said at the start, and pauses the output."""
    made = sink(jsonl, tmp_path / "missing" / "file")
    found: list[str | None] = []
    ensureDeferred(made.check()).addCallback(found.append)
    assert found == [f"there is no directory {tmp_path / 'missing'}; create it"]
    assert send(made, "one", 0, 1).disposition is Disposition.PAUSE


def test_parquet(tmp_path: Path) -> None:
    """A repeat adds nothing; what a kill has left is removed."""
    made = sink(parquet, tmp_path)
    send(made, "one", 0, 5)
    (tmp_path / f".left{parquet.TEMPORARY}").write_text("half")
    os.utime(tmp_path / f".left{parquet.TEMPORARY}", (0, 0))
    made = sink(parquet, tmp_path)
    ensureDeferred(made.check())
    send(made, "one", 0, 3)
    send(made, "one", 3, 2)
    assert len([*tmp_path.iterdir()]) == 1
    table = parquet.pq.read_table(tmp_path)
    assert tuple(table.column_names) == COLUMNS
    assert sorted(table["ordinal"].to_pylist()) == [0, 1, 2, 3, 4]
    assert set(table["tags"].to_pylist()) == {'{"a":"b,\\r\\n"}'}


def test_parquet_after_a_power_loss(tmp_path: Path) -> None:
    """Several batches are repeated with other bounds, and each result is there once."""
    made = sink(parquet, tmp_path)
    for first, count in ((0, 5), (5, 5), (10, 3)):
        send(made, "one", first, count)
    # It may be that of another agent, and disturbs no reader of the directory.
    (tmp_path / f".shop-one-{20:012}{parquet.TEMPORARY}").write_text("half")
    made = sink(parquet, tmp_path)
    ensureDeferred(made.check())
    assert (tmp_path / f".shop-one-{20:012}{parquet.TEMPORARY}").exists()
    for first, count in ((0, 3), (3, 8), (11, 6), (17, 1)):
        assert send(made, "one", first, count).disposition is Disposition.DELIVERED
    table = parquet.pq.read_table(tmp_path)
    assert sorted(table["ordinal"].to_pylist()) == list(range(18))
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("*.parquet")} == {0o640}
    assert sorted(table["sequence_id"].to_pylist(), key=int) == [str(one) for one in range(18)]


@pytest.mark.parametrize("module", [jsonl, csv_sink])
def test_checkpoints_of_several_runs_lost(tmp_path: Path, module: Any) -> None:
    """A power loss takes the last checkpoints of each run, and both repeat several batches."""
    path = tmp_path / "results"
    made = sink(module, path)
    for first in (0, 3, 6):
        send(made, "one", first, 3)
        send(made, "two", first, 3)
    ensureDeferred(made.close())
    made = sink(module, path)
    for job in ("one", "two"):
        assert send(made, job, 0, 5).disposition is Disposition.DELIVERED
        assert send(made, job, 5, 6).disposition is Disposition.DELIVERED
    found = read(module, path)
    for job in ("one", "two"):
        assert [one[1] for one in found if one[0] == job] == list(range(11))


@pytest.mark.parametrize("module", [jsonl, csv_sink, parquet])
def test_half_of_a_surrogate_pair(tmp_path: Path, module: Any) -> None:
    """It is delivered, once, as is every result that out.log accepts."""
    check_once(tmp_path, module, b"\\ud800")


@pytest.mark.parametrize("module", [jsonl, csv_sink, parquet])
def test_a_long_text(tmp_path: Path, module: Any) -> None:
    """It is longer than what Python's reader of CSV accepts by itself."""
    check_once(tmp_path, module, b"x" * 1_000_000)


@pytest.mark.parametrize("module", [jsonl, csv_sink, parquet])
def test_a_nul(tmp_path: Path, module: Any) -> None:
    """A text may contain one, which Python 3.10 does not write as CSV: there it is U+FFFD."""
    check_once(tmp_path, module, b"\\u0000")
    if module is csv_sink:
        assert [one[2] for one in read(module, tmp_path / "results")] == ["\ufffd"]


def check_once(tmp_path: Path, module: Any, identifier: bytes) -> None:
    """Send a result twice, by one process after another."""
    text = results(1, 0).replace(b'"sequenceID":"0"', b'"sequenceID":"%b"' % identifier)
    assert identifier in text
    path = tmp_path if module is parquet else tmp_path / "results"
    for _ in range(2):
        made = sink(module, path)
        found: list[Response] = []
        run = RunLabels("one", "shop", "one", "agent")
        ensureDeferred(made.send(run, Batch(0, len(text), text), 0)).addCallback(found.append)
        assert found[0].disposition is Disposition.DELIVERED
        ensureDeferred(made.close())
    if module is parquet:
        assert parquet.pq.read_table(tmp_path).num_rows == 1
    else:
        assert path.read_bytes().count(b"shop") == 1


def test_a_new_file_is_synced_with_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name must survive a power loss."""
    synced: list[Path] = []
    monkeypatch.setattr(append_file, "sync_directory", synced.append)
    made = sink(jsonl, tmp_path / "file")
    send(made, "one", 0, 1)
    send(made, "one", 1, 1)
    assert synced == [tmp_path]


@pytest.mark.parametrize("module", [jsonl, csv_sink, parquet])
def test_a_directory_that_may_not_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    """The agent starts, and the output says what is wrong."""

    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", refused)
        patch.setattr(Path, "mkdir", refused)
        patch.setattr(os, "access", lambda *_: False)
        patch.setattr(append_file.os, "open", refused)
        made = sink(module, tmp_path / "theirs" / "results")
        found: list[str | None] = []
        ensureDeferred(made.check()).addCallback(found.append)
        assert "permissions" in str(found[0])
        response = send(made, "one", 0, 1)
    assert response.disposition is Disposition.PAUSE
    assert "the agent's user may not write to" in str(response)
