"""What the collector refused is found beside the log, with its answer."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from goloagent.outputs.batch import Batch
from goloagent.outputs.dead_letter import DeadLetterRun
from goloagent.outputs.sink import Response
from goloagent.wal.run_log import RunLogWriter, open_reader

LINE = '{"timestamp":"2026-01-02T03:04:05Z","url":"/\N{SNOWMAN}"}'.encode()
LENGTH = len(LINE) + 1


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Return a directory with the log of a run of four results."""
    log = RunLogWriter.create(tmp_path, "shop", "job")
    log.append_stdout(4 * (LINE + b"\n"))
    log.close()
    return tmp_path


def life(logs: Path) -> DeadLetterRun:
    """Return the run as an agent that starts has it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    return DeadLetterRun(
        open_reader(logs, "shop", "job"), lambda: os.open(logs / "rejected.jsonl", flags)
    )


def batch(number: int) -> Batch:
    """Return one result as a batch."""
    return Batch(number * LENGTH, (number + 1) * LENGTH, LINE + b"\n")


def noted(logs: Path) -> list[dict[str, Any]]:
    """Return what is in rejected.jsonl."""
    return [json.loads(one) for one in (logs / "rejected.jsonl").open(encoding="utf-8")]


def test_refused_results_are_kept_with_the_answer(logs: Path) -> None:
    """One JSON object a line: where in the log, what came, and what the collector said."""
    run = life(logs)
    assert run.read(0, LENGTH) == LINE + b"\n"
    assert run.read(2, 3) == LINE[2:5]
    for number, status in enumerate((400, 422)):
        run.reject(batch(number), Response(status, text="no" * 9999))
    run.close()
    assert [one["status"] for one in noted(logs)] == [400, 422]
    for number, one in enumerate(noted(logs)):
        assert (one["first"], one["last"]) == (number * LENGTH, (number + 1) * LENGTH - 1)
        assert one["result"].encode() == LINE
        assert one["answer"] == "no" * 500


@pytest.mark.parametrize("torn", [b"", b'{"first": 1', b"x" * 200_000], ids=len)
def test_a_result_is_noted_once(logs: Path, torn: bytes) -> None:
    """A kill after the note has it refused again, and one amid a note leaves a piece of a line."""
    for number in (0, 1, 1, 2, 2, 3):
        run = life(logs)
        run.reject(batch(number), Response(422, text="no" * 500))
        run.close()
        with (logs / "rejected.jsonl").open("ab") as file:
            file.write(torn)
    with closing(life(logs)) as run:
        run.reject(batch(3), Response(422))
    assert [one["first"] // LENGTH for one in noted(logs)] == [0, 1, 2, 3]


@pytest.mark.parametrize("there", [b"\n", b"[]\n", b"{}\n", b"\0\xff\n", b"7\n"])
def test_what_else_is_in_the_file_stops_nothing(logs: Path, there: bytes) -> None:
    """A line that is none of ours stays, and the refused result comes behind it."""
    (logs / "rejected.jsonl").write_bytes(there)
    with closing(life(logs)) as run:
        run.reject(batch(0), Response(422))
    content = (logs / "rejected.jsonl").read_bytes()
    assert content.startswith(there)
    assert json.loads(content[len(there) :])["first"] == 0
