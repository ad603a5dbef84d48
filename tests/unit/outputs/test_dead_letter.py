"""Rejected results are in a file next to the log, with the response."""

from __future__ import annotations

import errno
import json
import os
from contextlib import closing
from io import FileIO
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


def open_run(logs: Path) -> DeadLetterRun:
    """Open the run as a new process does."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    return DeadLetterRun(
        open_reader(logs, "shop", "job"), lambda: os.open(logs / "rejected.jsonl", flags)
    )


def batch(number: int) -> Batch:
    """Return one result as a batch."""
    return Batch(number * LENGTH, (number + 1) * LENGTH, LINE + b"\n")


def dead_letters(logs: Path) -> list[dict[str, Any]]:
    """Return the content of rejected.jsonl."""
    return [json.loads(one) for one in (logs / "rejected.jsonl").open(encoding="utf-8")]


def test_rejected_results_are_written_with_the_response(logs: Path) -> None:
    """One JSON object a line has the range in the log, the result and the response."""
    run = open_run(logs)
    assert run.read(0, LENGTH) == LINE + b"\n"
    assert run.read(2, 3) == LINE[2:5]
    for number, status in enumerate((400, 422)):
        run.reject(batch(number), Response(status, text="no" * 9999))
    run.close()
    assert [one["status"] for one in dead_letters(logs)] == [400, 422]
    for number, one in enumerate(dead_letters(logs)):
        assert (one["first"], one["last"]) == (number * LENGTH, (number + 1) * LENGTH - 1)
        assert one["result"].encode() == LINE
        assert one["answer"] == "no" * 500


@pytest.mark.parametrize("torn", [b"", b'{"first": 1', b"x" * 200_000], ids=len)
def test_a_result_is_written_once(logs: Path, torn: bytes) -> None:
    """After a kill it is rejected again, and a partial line is removed."""
    for number in (0, 1, 1, 2, 2, 3):
        run = open_run(logs)
        run.reject(batch(number), Response(422, text="no" * 500))
        run.close()
        with (logs / "rejected.jsonl").open("ab") as file:
            file.write(torn)
    with closing(open_run(logs)) as run:
        run.reject(batch(3), Response(422))
    assert [one["first"] // LENGTH for one in dead_letters(logs)] == [0, 1, 2, 3]


class Full(FileIO):
    """A file on a disk that takes some bytes more, and gives none back."""

    left = 50

    def write(self, data: Any) -> int:
        if not self.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(data[: self.left])
        self.left -= written
        return written

    def truncate(self, size: int | None = None) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_partial_line_that_cannot_be_removed(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next attempt removes it."""
    with closing(open_run(logs)) as run:
        run.reject(batch(0), Response(422))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdopen", lambda descriptor, *_, **__: Full(descriptor, "a+b"))
            with pytest.raises(OSError, match="No space left"):
                run.reject(batch(1), Response(422))
        run.reject(batch(1), Response(422))
    assert [one["first"] // LENGTH for one in dead_letters(logs)] == [0, 1]


@pytest.mark.parametrize("there", [b"\n", b"[]\n", b"{}\n", b"\0\xff\n", b"7\n"])
def test_other_lines_in_the_file(logs: Path, there: bytes) -> None:
    """Lines of other programs stay, and the rejected result follows."""
    (logs / "rejected.jsonl").write_bytes(there)
    with closing(open_run(logs)) as run:
        run.reject(batch(0), Response(422))
    content = (logs / "rejected.jsonl").read_bytes()
    assert content.startswith(there)
    assert json.loads(content[len(there) :])["first"] == 0
