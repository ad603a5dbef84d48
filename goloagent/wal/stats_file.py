"""The statistics of a run that is over, in a file beside its log.

It saves reading the log again and nothing else: whatever is wrong with it, `rebuild` makes the same
from the log.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from goloagent.core.stats.summary import Summary
from goloagent.wal.run_log import LogPathError, open_reader, write_sidecar

STATS = "stats.json"

# A thousand rows, all of whose names are as long as may be and have to be escaped, have 13 MiB.
_MAX_BYTES = 16 * 1024 * 1024


def write_statistics(logs: Path, name: str, job_id: str, summary: Summary) -> None:
    """Write the statistics beside a run's log.

    Raises:
        LogPathError: a link, or anything else that is no log, stands in the way.
        OSError: they cannot be written.
    """
    write_sidecar(logs, name, job_id, STATS, msgspec.json.encode(summary))


def load_statistics(logs: Path, name: str, job_id: str) -> Summary | None:
    """Return the statistics beside a run's log, or None when they are not there or damaged."""
    try:
        file = open_reader(logs, name, job_id, STATS)
        try:
            return msgspec.json.decode(file.read(0, _MAX_BYTES), type=Summary)
        finally:
            file.close()
    except (OSError, LogPathError, msgspec.DecodeError, ValueError, RecursionError):
        return None
