"""A run's log as delivery reads it: a cursor that begins anywhere, while the log grows."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

from unit.outputs.test_cursor import GOOD, model
from unit.results import records

from goloagent.outputs import cursor as cursor_module
from goloagent.outputs.cursor import Cursor

WINDOW_BYTES = 64


def seeds() -> Iterator[bytes]:
    """Yield logs, each behind two bytes: the size of reads, and how the log grows."""
    line = GOOD % 1
    for log in (
        line + b"\n",
        line + b"\n\n{}\n" + line + b"\n" + line,
        b"x" * 200 + b"\n" + line + b"\n" + b"y" * 130,
        records.ORDINARY + b"\n" + line + b"\n",
        b"\n" * 70,
        b"x" * WINDOW_BYTES + b"\n" + line,
    ):
        yield b"\x01\x10" + log
        yield b"\x05\xff" + log


def check(data: bytes) -> None:
    """Yield every line once, in order and in contiguous batches, as the log grows in any steps."""
    if len(data) < 2:
        return
    max_results, growth, log = data[0] % 7 + 1, data[1] + 1, data[2:]
    size = 0
    lines, end = list[bytes](), 0
    with mock.patch.object(cursor_module, "WINDOW_BYTES", WINDOW_BYTES):
        cursor = Cursor(lambda offset, count: log[:size][offset : offset + count], 0)
        while True:
            size = min(size + growth, len(log))
            complete = size == len(log)
            while (batch := cursor.next(max_results, complete)) is not None:
                assert batch.first == end < batch.end <= size
                assert batch.results == len(batch.lines) <= max_results
                end = batch.end
                lines += batch.lines
            if complete:
                break
    assert end == len(log)
    # This cursor skips lines longer than its window, which is the size of the longest result.
    expected = [line for _, line in model(log, 0, True) if line is not None]
    assert [line for line in expected if len(line) < WINDOW_BYTES] == [
        line for line in lines if len(line) < WINDOW_BYTES
    ]
