"""Small files next to a run's log: statistics, the manifest, rejected results.

All functions raise LogPathError if something else is in the place of the file, and OSError.
"""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import msgspec

from goloagent.core.output_schemes import COLLECTOR
from goloagent.jobs.job import Checkpoint, Job, ResultCounts
from goloagent.jobs.output_column import check_outputs
from goloagent.wal.run_directory import LogPathError, open_file
from goloagent.wal.run_log import RunLogReader, write_all

REJECTED = "rejected.jsonl"
MANIFEST = "account.json"
"""Written when no result is pending: the counts of the run, in case the database is lost."""

_MAX_MANIFEST_BYTES = 64 * 1024


def rejected_file(output: str) -> str:
    """Return the name of the file with the results that an output has rejected."""
    return REJECTED if output == COLLECTOR else f"rejected.{output}.jsonl"


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


@attrs.frozen(kw_only=True)
class Manifest:
    """The counts of a run, those of the collector, and the checkpoints of other outputs."""

    read: int = 0
    invalid: int = 0
    delivered: int = 0
    rejected: int = 0
    abandoned: int = 0
    committed: int = 0
    outputs: dict[str, Checkpoint] = attrs.field(factory=dict)

    @property
    def results(self) -> ResultCounts:
        """The counts."""
        return ResultCounts(
            self.read,
            self.invalid,
            self.delivered,
            self.rejected,
            self.abandoned,
            self.committed,
        )

    def is_newer(self, job: Job) -> bool:
        """Whether an output of `job` had more of the log than the job says."""
        return self.committed > job.checkpoint.committed or any(
            name in self.outputs and self.outputs[name].committed > one.committed
            for name, one in job.outputs.items()
        )

    def restore(self, job: Job) -> None:
        """Replace the counts of `job`; those of outputs that the manifest lacks stay.

        An agent without other outputs than the collector has no others in its manifests.
        """
        job.restore_results(self.results, job.outputs | self.outputs)

    @property
    def is_complete(self) -> bool:
        """Whether all numbers are possible, and no output has anything pending."""
        valid = self.read - self.invalid
        done = (self.delivered, self.rejected, self.abandoned)
        others = [(one.delivered, one.rejected, one.abandoned) for one in self.outputs.values()]
        ends = [self.committed, *(one.committed for one in self.outputs.values())]
        accounts = [done, *others]
        try:
            check_outputs(self.outputs)
        except ValueError:
            return False
        return min(self.read, self.invalid, *ends) >= 0 and all(
            min(account) >= 0 and sum(account) == valid for account in accounts
        )


def write_manifest(logs: Path, job: Job) -> None:
    """Write the manifest of a run."""
    outputs = {name: attrs.asdict(one) for name, one in job.outputs.items()}
    data = msgspec.json.encode(attrs.asdict(job.results) | {"outputs": outputs})
    write_sidecar(logs, job.spec.name, job.id, MANIFEST, data)


def read_manifest(logs: Path, name: str, job_id: str) -> Manifest | None:
    """Return the manifest of a run, or None if it is missing or damaged."""
    try:
        data = read_sidecar(logs, name, job_id, MANIFEST, _MAX_MANIFEST_BYTES)
        manifest = msgspec.json.decode(data, type=Manifest)
    except (OSError, LogPathError, msgspec.DecodeError, RecursionError):
        return None
    return manifest if manifest.is_complete else None
