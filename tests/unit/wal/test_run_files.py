"""The files of a run are never opened through a link, at any place of the path."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from unit.runs.one_run import NOW, RESULT

from goloagent.core.job_spec import JobSpec
from goloagent.core.output_schemes import COLLECTOR
from goloagent.jobs.job import Job
from goloagent.outputs.batch import Batch
from goloagent.outputs.dead_letter import open_for_delivery
from goloagent.outputs.sink import Response
from goloagent.wal.run_directory import LogPathError
from goloagent.wal.run_files import RunFiles
from goloagent.wal.run_log import RunLogWriter

JOB = Job("id", JobSpec("shop", 1, 1, "b"), NOW)
BATCH = Batch(0, len(RESULT), RESULT)
REFUSED = Response(400, "no")

USES: dict[str, Callable[[RunFiles], object]] = {
    "size": lambda logs: logs.size(JOB),
    "open": lambda logs: logs.open(JOB).close(),
    "open_for_delivery": lambda logs: open_for_delivery(logs, COLLECTOR, JOB).reject(
        BATCH, REFUSED
    ),
    "account": lambda logs: logs.write_manifest(JOB),
}


@pytest.fixture
def logs(tmp_path: Path) -> RunFiles:
    """Create the logs of a run, and a copy elsewhere."""
    for root in ("logs", "elsewhere"):
        (tmp_path / root).mkdir()
        log = RunLogWriter.create(tmp_path / root, "shop", "id")
        log.append_stdout(RESULT)
        log.close()
    return RunFiles(tmp_path / "logs")


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_without_links(logs: RunFiles, use: Callable[[RunFiles], object]) -> None:
    """Every method works."""
    use(logs)
    assert logs.size(JOB) == len(RESULT)


@pytest.mark.parametrize("place", ["shop", "shop/id", "shop/id/out.log"])
@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_no_link_is_followed(logs: RunFiles, use: Callable[[RunFiles], object], place: str) -> None:
    """Nothing elsewhere is read or written."""
    planted, elsewhere = logs.root / place, logs.root.parent / "elsewhere" / place
    planted.rename(logs.root / "aside")
    planted.symlink_to(elsewhere)
    there = sorted(elsewhere.parent.rglob("*"))
    if use is USES["account"] and place.endswith("out.log"):
        use(logs)  # it is another file
    else:
        with pytest.raises((LogPathError, OSError)):
            use(logs)
    assert sorted(elsewhere.parent.rglob("*")) == there


@pytest.mark.parametrize("odd", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("../out.log")])
def test_other_files_in_the_place_of_rejected_results(
    logs: RunFiles, odd: Callable[[Path], object]
) -> None:
    """They are an error, at once."""
    odd(logs.root / "shop" / "id" / "rejected.jsonl")
    with pytest.raises(OSError, match=r"rejected.jsonl|directory"):
        open_for_delivery(logs, COLLECTOR, JOB).reject(BATCH, REFUSED)


@pytest.mark.parametrize("place", ["shop", "shop/id", "shop/id/out.log"])
def test_the_size_of_another_file(logs: RunFiles, place: str) -> None:
    """It is FileNotFoundError, as for a missing log, so that the metric is left out."""
    (logs.root / place).rename(logs.root / "aside")
    os.mkfifo(logs.root / place)
    with pytest.raises(FileNotFoundError):
        logs.size(JOB)
