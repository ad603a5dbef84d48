"""Compare the agent's records of every job with its logs and with the collector.

Reads the database and the logs of an agent, running or not, and the collector's batches, without a
request to the agent.
"""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from goloagent.results.parser import join_array
from peers.collector import Batch
from peers.lines import select

# A log may be larger than memory.
_BLOCK_BYTES = 1 << 20
OVER = {"finished", "failed", "cancelled", "interrupted"}


def audit(state: Path, logs: Path, batches: Iterable[Batch]) -> list[str]:
    """Return a sentence for each job whose counts do not balance."""
    taken = [batch for batch in batches if batch.taken]
    rows = _rows(state, "binaries")
    strays = _files(state / "binaries") - {row["id"] for row in rows}
    strays |= _files(state / "contents") - {row["sha256"] for row in rows}
    return [f"the binary {stray} has no record" for stray in sorted(strays)] + [
        f"job {row['id']}: {complaint}; {row}"
        for row in _rows(state, "jobs")
        for complaint in _complaints(row, logs / row["name"] / row["id"] / "out.log", taken)
    ]


def _is_part(body: bytes, lines: list[bytes]) -> bool:
    every = [json.loads(line) for line in lines]
    return all(result in every for result in json.loads(body))


def _files(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()} if directory.exists() else set()


def _rows(state: Path, table: str) -> list[dict[str, Any]]:
    database = state / "golo-agent.sqlite"
    if not database.exists():
        return []
    connection = sqlite3.connect(database)
    try:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]
    finally:
        connection.close()


def _complaints(row: dict[str, Any], path: Path, taken: list[Batch]) -> list[str]:
    found = []
    counts = {name: row[name] for name in ("read", "invalid", "delivered", "rejected", "abandoned")}
    settled_count = row["delivered"] + row["rejected"] + row["abandoned"]
    pending = row["read"] - row["invalid"] - settled_count
    if min(pending, *counts.values()) < 0:
        found.append("a count is negative")
    lines, valid = _read(path)
    if row["state"] in OVER:
        if row["read"] != lines:
            found.append(f"{row['read']} lines were read, and the log has {lines}")
        if row["read"] - row["invalid"] != len(valid):
            found.append(f"the log has {len(valid)} valid lines")
    settled = {first for first in valid if first < row["committed"]}
    if settled_count != len(settled):
        found.append(f"the log has {len(settled)} results before what is committed")
    starts = list(valid)  # in order
    for batch in taken:
        job_id, first, last = batch.span
        if job_id != row["id"]:
            continue
        inside = starts[bisect_left(starts, first) : bisect_right(starts, last)]
        expected = [valid[start] for start in inside]
        # Results that another program has overwritten are abandoned, and missing in their batch.
        is_part = bool(row["abandoned"]) and _is_part(batch.body, expected)
        if batch.body != join_array(expected) and not is_part:
            found.append(f"the batch {batch.key} does not hold what its key says")
        settled.difference_update(inside)
    # Abandoned results may have been taken if the response was lost.
    if not row["rejected"] <= len(settled) <= row["rejected"] + row["abandoned"]:
        found.append(f"{len(settled)} results before what is committed were never taken")
    return found


def _read(path: Path) -> tuple[int, dict[int, bytes]]:
    """Return the number of lines of a log, and its valid lines by their offset."""
    lines, valid, position = 0, {}, 0
    if not path.exists():
        return lines, valid
    with path.open("rb") as log:
        while texts := log.readlines(_BLOCK_BYTES):
            block = b"".join(texts)
            whole = block if block.endswith(b"\n") else block + b"\n"
            for text, line in zip(texts, select(whole), strict=True):
                if line is not None:
                    valid[position] = line
                position += len(text)
            lines += len(texts)
    return lines, valid
