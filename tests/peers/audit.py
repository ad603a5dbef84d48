"""The accounting assertion: what the agent has on record of every job agrees with its log.

Reads the database and the logs of an agent, running or not, and what the collector took; asks the
agent nothing. What a result is, it takes from `goloagent.results.output`.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from goloagent.results.output import array, select
from peers.collector import Batch

OVER = {"finished", "failed", "cancelled", "interrupted"}


def audit(state: Path, logs: Path, batches: Iterable[Batch]) -> list[str]:
    """Return a sentence for each account that does not balance."""
    taken = [batch for batch in batches if batch.taken]
    return [
        f"job {row['id']}: {complaint}; {row}"
        for row in _rows(state / "golo-agent.sqlite")
        for complaint in _complaints(row, logs / row["name"] / row["id"] / "out.log", taken)
    ]


def _rows(database: Path) -> list[dict[str, Any]]:
    if not database.exists():
        return []
    connection = sqlite3.connect(database)
    try:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM jobs ORDER BY position")]
    finally:
        connection.close()


def _complaints(row: dict[str, Any], path: Path, taken: list[Batch]) -> list[str]:
    found = []
    counts = {name: row[name] for name in ("read", "invalid", "delivered", "rejected")}
    pending = row["read"] - row["invalid"] - row["delivered"] - row["rejected"]
    if min(pending, *counts.values()) < 0:
        found.append("a count is negative")
    log = path.read_bytes() if path.exists() else b""
    valid = _results(log)
    if row["state"] in OVER:
        lines = log.count(b"\n") + (log != b"" and not log.endswith(b"\n"))
        if row["read"] != lines:
            found.append(f"{row['read']} lines were read, and the log has {lines}")
        if row["read"] - row["invalid"] != len(valid):
            found.append(f"the log has {len(valid)} valid lines")
    settled = {first for first in valid if first < row["committed"]}
    if row["delivered"] + row["rejected"] != len(settled):
        found.append(f"the log has {len(settled)} results before what is committed")
    starts = list(valid)  # in order
    for batch in taken:
        job_id, first, last = batch.span
        if job_id != row["id"]:
            continue
        inside = starts[bisect_left(starts, first) : bisect_right(starts, last)]
        if batch.body != array(valid[start] for start in inside):
            found.append(f"the batch {batch.key} does not hold what its key says")
        settled.difference_update(inside)
    if row["rejected"] != len(settled):
        found.append(f"{len(settled)} results before what is committed were never taken")
    return found


def _results(log: bytes) -> dict[int, bytes]:
    """Return the valid lines of a log, each by the byte that it begins at."""
    whole = log if not log or log.endswith(b"\n") else log + b"\n"
    found, position = {}, 0
    for text, line in zip(whole.split(b"\n"), select(whole), strict=False):
        if line is not None:
            found[position] = line
        position += len(text) + 1
    return found
