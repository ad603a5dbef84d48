"""What the collector refused is found beside the log, with its answer."""

from __future__ import annotations

import json
from pathlib import Path

from goloagent.delivery.cursor import Batch
from goloagent.delivery.policy import Answer
from goloagent.delivery.runs import RunOfResults
from goloagent.results.runlog import RunLog, open_reader


def test_refused_results_are_kept_with_the_answer(tmp_path: Path) -> None:
    """One JSON object a line: where in the log, what came, and what the collector said."""
    log = RunLog.create(tmp_path, "shop", "job")
    line = '{"timestamp":"2026-01-02T03:04:05Z","url":"/\N{SNOWMAN}"}'.encode()
    log.append_stdout(line + b"\n")
    log.close()
    run = RunOfResults(open_reader(tmp_path, "shop", "job"), tmp_path / "rejected.jsonl")
    assert run.read(0, 1000) == line + b"\n"
    assert run.read(2, 3) == line[2:5]
    end = len(line) + 1
    for status in (400, 422):
        run.reject(Batch(0, end, ((end, line),)), Answer(status, text="no" * 9999))
    run.close()
    kept = [json.loads(one) for one in (tmp_path / "rejected.jsonl").open(encoding="utf-8")]
    assert [one["status"] for one in kept] == [400, 422]
    for one in kept:
        assert (one["first"], one["last"]) == (0, end - 1)
        assert one["result"].encode() == line
        assert one["answer"] == "no" * 500
