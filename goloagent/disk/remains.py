"""What the disk still knows when the database is lost: the binaries, and the runs with their logs.

Reads names, sizes and times, and the bytes of binaries; restores nothing itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import attrs
import msgspec

from goloagent.jobs import outcome
from goloagent.jobs.binaries import content_of, is_binary
from goloagent.jobs.ids import is_id
from goloagent.jobs.job import Job, Results, State
from goloagent.jobs.spec import JobSpec
from goloagent.jobs.store import Binary
from goloagent.results.runlog import ACCOUNT, OUT

_ACCOUNT_BYTES = 4096


def binaries(kept: Path) -> list[Binary]:
    """Return the binaries in the directory `kept`, the oldest first.

    Reads those of version 0.1.0, and what several share once: call it in a thread.
    """
    sha256s: dict[int, str] = {}
    found = []
    for path in _named_by_ids(kept):
        if is_binary(path):
            status = path.stat()
            if status.st_ino not in sha256s:
                sha256s[status.st_ino] = content_of(path)
            sha256 = sha256s[status.st_ino]
            found.append(Binary(path.name, sha256, status.st_size, _changed(path)))
    return sorted(found, key=lambda binary: binary.uploaded_at)


def runs(logs: Path) -> list[Job]:
    """Return the runs with a log below `logs`, those first that printed their last word first.

    One without an account beside its log has none here either: what of it was delivered is lost.
    """
    found = []
    for name in logs.iterdir():
        if name.is_symlink() or not name.is_dir():
            continue
        for run in _named_by_ids(name):
            out = run / OUT
            if run.is_dir() and not run.is_symlink() and out.is_file() and not out.is_symlink():
                found.append(_run(name.name, run.name, _changed(out), _account(run / ACCOUNT)))
    return sorted(found, key=lambda job: job.queued_at)


def account(job: Job) -> bytes:
    """Return what became of the results of `job`, to be kept beside its log."""
    return json.dumps(attrs.asdict(job.results)).encode()


def _account(path: Path) -> Results:
    try:
        if path.is_symlink() or not path.is_file():
            return Results()
        results = msgspec.json.decode(path.read_bytes()[:_ACCOUNT_BYTES], type=Results)
    except msgspec.DecodeError:
        return Results()
    is_whole = min(attrs.astuple(results)) >= 0 and results.pending == 0
    return results if is_whole else Results()


def _run(name: str, job_id: str, time: datetime, results: Results) -> Job:
    return Job(
        id=job_id,
        spec=JobSpec(name, 0, 0, ""),
        queued_at=time,
        state=State.INTERRUPTED,
        cause=outcome.STATE_LOST,
        ended_at=time,
        logged=True,
        results=results,
    )


def _named_by_ids(directory: Path) -> Iterator[Path]:
    for path in directory.iterdir():
        if is_id(path.name):
            yield path


def _changed(path: Path) -> datetime:
    return datetime.fromtimestamp(path.lstat().st_mtime, timezone.utc)
