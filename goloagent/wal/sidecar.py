"""Small files next to a run's log: statistics, the manifest, rejected results.

All functions raise LogPathError if something else is in the place of the file, and OSError.
"""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import msgspec

from goloagent.jobs.job import Job, ResultCounts
from goloagent.wal.run_directory import LogPathError, open_file
from goloagent.wal.run_log import RunLogReader, write_all

REJECTED = "rejected.jsonl"
MANIFEST = "account.json"
"""Written when no result is pending: the counts of the run, in case the database is lost."""

_MAX_MANIFEST_BYTES = 4096


def write_sidecar(logs: Path, name: str, job_id: str, file: str, data: bytes) -> None:
    """Replace the content of a file next to a run's log."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    descriptor = open_file(logs, name, job_id, file, flags)
    try:
        write_all(descriptor, data)
    finally:
        os.close(descriptor)


def read_sidecar(logs: Path, name: str, job_id: str, file: str, max_bytes: int) -> bytes:
    """Return the beginning of a file next to a run's log."""
    reader = RunLogReader(open_file(logs, name, job_id, file))
    try:
        return reader.read(0, max_bytes)
    finally:
        reader.close()


def open_to_append(logs: Path, name: str, job_id: str, file: str) -> int:
    """Open a file next to a run's log for reading and appending; create it if necessary."""
    return open_file(logs, name, job_id, file, os.O_RDWR | os.O_CREAT | os.O_APPEND)


def write_manifest(logs: Path, job: Job) -> None:
    """Write the manifest of a run."""
    data = msgspec.json.encode(attrs.asdict(job.results))
    write_sidecar(logs, job.spec.name, job.id, MANIFEST, data)


def read_manifest(logs: Path, name: str, job_id: str) -> ResultCounts | None:
    """Return the counts in the manifest of a run, or None if it is missing or damaged."""
    try:
        data = read_sidecar(logs, name, job_id, MANIFEST, _MAX_MANIFEST_BYTES)
        counts = msgspec.json.decode(data, type=ResultCounts)
    except (OSError, LogPathError, msgspec.DecodeError, RecursionError):
        return None
    is_complete = min(attrs.astuple(counts)) >= 0 and counts.pending == 0
    return counts if is_complete else None
