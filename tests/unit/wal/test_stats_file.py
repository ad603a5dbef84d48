"""Statistics in a file next to a run's log."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.core.stats.results import result

from goloagent.core.stats.run_stats import RunStatistics
from goloagent.core.stats.summary import Summary
from goloagent.wal.run_directory import LogPathError, remove_run, size_of_run
from goloagent.wal.run_log import RunLogWriter
from goloagent.wal.stats_file import STATS, load_statistics, write_statistics


def _summary(results: int) -> Summary:
    statistics = RunStatistics()
    statistics.add([result()] * results)
    return statistics.summary()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Create the directory of a run named ``name/id`` that is over."""
    RunLogWriter.create(tmp_path, "name", "id").close()
    return tmp_path / "name" / "id"


def test_write_and_load(run: Path, tmp_path: Path) -> None:
    """The newest are loaded, also after longer ones."""
    for summary in (_summary(10**6), _summary(1)):
        write_statistics(tmp_path, "name", "id", summary)
        assert load_statistics(tmp_path, "name", "id") == summary


@pytest.mark.parametrize(
    "damaged", [b"", b"{", b"{}", b"null", b"\xff", b"\0" * 100, b'{"results":1}']
)
def test_damaged(run: Path, tmp_path: Path, damaged: bytes) -> None:
    """Damaged statistics are ignored."""
    (run / STATS).write_bytes(damaged)
    assert load_statistics(tmp_path, "name", "id") is None


def test_missing(run: Path, tmp_path: Path) -> None:
    """A run without statistics, and a missing run, have none."""
    assert load_statistics(tmp_path, "name", "id") is None
    assert load_statistics(tmp_path, "name", "gone") is None


def test_a_link_is_not_followed(run: Path, tmp_path: Path) -> None:
    """Nothing elsewhere is read or written."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine")
    (run / STATS).symlink_to(elsewhere)
    with pytest.raises(LogPathError):
        write_statistics(tmp_path, "name", "id", _summary(1))
    assert load_statistics(tmp_path, "name", "id") is None
    assert elsewhere.read_bytes() == b"mine"


def test_it_goes_with_its_run(run: Path, tmp_path: Path) -> None:
    """The file counts in the run's size, and is removed with it."""
    before = size_of_run(tmp_path, "name", "id")
    write_statistics(tmp_path, "name", "id", _summary(1))
    assert size_of_run(tmp_path, "name", "id") == before + (run / STATS).stat().st_size > before
    remove_run(tmp_path, "name", "id")
    assert not run.exists()
