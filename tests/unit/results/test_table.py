"""Results as rows of a table."""

from __future__ import annotations

import csv
import io

from goloagent.results.parser import parse
from goloagent.results.table import csv_header, to_csv


def test_csv() -> None:
    """Texts are as printed, except NUL, which not every reader accepts."""
    line = (
        rb'{"timestamp":"2026-01-02T03:04:05Z","url":"a,\u0000\n\"","status":200,"error":"\u0000"}'
    )
    text = csv_header() + to_csv(parse(line + b"\n").results)
    assert b"\0" not in text
    [row] = csv.DictReader(io.StringIO(text.decode(), newline=""))
    assert (row["url"], row["error"], row["status"]) == ('a,\ufffd\n"', "\ufffd", "200")
