"""Queued jobs are on the disk beside the database until they have run."""

from __future__ import annotations

import os
import stat
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from unit.runs.one_run import NOW

from goloagent.core.job_spec import JobSpec
from goloagent.jobs.job import Job, State
from goloagent.jobs.queue_files import QueuedJobs

DAMAGED = (
    '{"spec":{"name":"a","users":1,"duration_seconds":1,"binary":"b","members":{"share":3}},'
    '"queued_at":"2026-01-02T03:04:05Z"}'
)


def job(after_seconds: float = 0) -> Job:
    """Return a job that is queued."""
    return Job(
        str(uuid4()), JobSpec("shop", 7, 60, str(uuid4())), NOW + timedelta(seconds=after_seconds)
    )


def test_a_queued_job_is_found_again(tmp_path: Path) -> None:
    """As it was asked for, and in the order of the queue."""
    jobs = [job(seconds) for seconds in (2, 0, 1)]
    queued = QueuedJobs(tmp_path)
    for one in jobs:
        queued.observe(one)
        queued.observe(one)
    assert QueuedJobs(tmp_path).load(set()) == sorted(jobs, key=lambda one: one.queued_at)
    assert QueuedJobs(tmp_path).load({one.id for one in jobs[1:]}) == jobs[:1]


def test_the_optional_members_are_kept(tmp_path: Path) -> None:
    """A job that is queued again is given all that the first one was; the file is the agent's."""
    members = {"rate": 2.5, "duration": "90s", "env": {"TOKEN": "s3cret"}, "args": ["é"]}
    one = Job(str(uuid4()), JobSpec("name", 0, 90, "binary", members), NOW)
    QueuedJobs(tmp_path).observe(one)
    assert QueuedJobs(tmp_path).load(set()) == [one]
    [file] = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("how", ["logged", "cancelled"])
def test_a_job_that_has_run_is_not(tmp_path: Path, how: str) -> None:
    """Once it has a log, or is over without one, nothing would run it again."""
    one = job()
    queued = QueuedJobs(tmp_path)
    queued.observe(one)
    one.state = State.STARTING
    queued.observe(one)
    assert QueuedJobs(tmp_path).load(set()), "it has not run, and its log would say so"
    if how == "logged":
        one.has_log = True
    else:
        one.state = State.CANCELLED
    QueuedJobs(tmp_path).observe(one)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_job_is_skipped_and_stays(tmp_path: Path) -> None:
    """Other files, invalid JSON and deep JSON are skipped."""
    made = {
        f"{uuid4()}.json": text
        for text in ("", "{", "[" * 5000, '{"spec": 1}', '{"spec":{"name":"../x"}}', DAMAGED)
    }
    for name, text in made.items():
        (tmp_path / name).write_text(text)
    (tmp_path / f"{uuid4()}.json").mkdir()
    os.mkfifo(tmp_path / f"{uuid4()}.json")
    (tmp_path / f"{uuid4()}.json").symlink_to("nowhere")
    (tmp_path / os.fsdecode(b"\xff.json")).write_text("")
    before = sorted(tmp_path.iterdir())
    assert QueuedJobs(tmp_path).load(set()) == []
    assert sorted(tmp_path.iterdir()) == before


def test_a_disk_that_takes_nothing_stops_no_job(tmp_path: Path) -> None:
    """The database has the job; a later change tries again."""
    one = job()
    directory = tmp_path / "queue"
    queued = QueuedJobs(directory)
    queued.observe(one)
    directory.mkdir()
    queued.observe(one)
    assert queued.load(set()) == [one]
