"""The statistics of a run that is over, in a file next to its log.

The file only saves a rebuild from the log, so a damaged one is ignored.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from goloagent.core.stats.summary import Summary
from goloagent.wal.run_directory import LogPathError
from goloagent.wal.sidecar import read_sidecar, write_sidecar

STATS = "stats.json"

# A thousand rows whose names have the maximum length and need escapes are 13 MiB, and their URLs as
# much again; the histograms of millions of results 10 MiB each.
_MAX_BYTES = 64 * 1024 * 1024


def write_statistics(logs: Path, name: str, job_id: str, summary: Summary) -> None:
    """Write the statistics of a run; raise the errors of `write_sidecar`."""
    write_sidecar(logs, name, job_id, STATS, msgspec.json.encode(summary))


def load_statistics(logs: Path, name: str, job_id: str) -> Summary | None:
    """Return the statistics of a run, or None if the file is missing or damaged."""
    try:
        data = read_sidecar(logs, name, job_id, STATS, _MAX_BYTES)
        return msgspec.json.decode(data, type=Summary)
    except (OSError, LogPathError, msgspec.DecodeError, ValueError, RecursionError):
        return None
