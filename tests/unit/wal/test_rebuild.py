"""What is found again on disk when the database is lost."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from uuid import uuid4

import pytest
from unit.runs.one_run import NOW, RESULT

from goloagent.artifacts import store
from goloagent.jobs.job import Job, ResultCounts, State
from goloagent.jobs.spec import JobSpec
from goloagent.wal import rebuild
from goloagent.wal.rebuild import RunScanner
from goloagent.wal.run_log import RunLogWriter, write_manifest


def found_in(directory: Path) -> RunScanner:
    """Return what is found when everything lies in one directory."""
    return RunScanner(directory, directory, directory)


def test_binaries(tmp_path: Path) -> None:
    """Links to contents are binaries, and so are files named by an id; nothing else is."""
    kept, contents = tmp_path / "binaries", tmp_path / "contents"
    for directory in (kept, contents):
        directory.mkdir()
    content = b"#!/bin/sh\n"
    sha256 = hashlib.sha256(content).hexdigest()
    (contents / sha256).write_bytes(content)
    of_first_version, linked, again = (str(uuid4()) for _ in range(3))
    (kept / of_first_version).write_bytes(content)
    for name in (linked, again):
        (kept / name).symlink_to(f"../contents/{sha256}")
    (kept / "notes").write_bytes(content)
    (kept / str(uuid4())).symlink_to(f"../contents/{'0' * 64}")
    (kept / str(uuid4())).symlink_to(kept / of_first_version)
    (kept / str(uuid4())).symlink_to("../contents/notes")
    (kept / str(uuid4())).mkdir()
    found, _ = found_in(kept).binaries(set())
    assert {binary.id for binary in found} == {of_first_version, linked, again}
    assert {(binary.sha256, binary.size) for binary in found} == {(sha256, 10)}


def test_binaries_that_share_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is found, the oldest first, and what they share is read once."""
    names = [str(uuid4()) for _ in range(4)]
    for number, name in enumerate(names[:2]):
        (tmp_path / name).write_bytes(b"#!/bin/sh\n# %d" % number)
        os.utime(tmp_path / name, (number, number))
    for name in names[2:]:
        (tmp_path / name).hardlink_to(tmp_path / names[0])
    read = []

    def sha256_of(path: Path) -> str:
        read.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(store, "sha256_of", sha256_of)
    found, _ = found_in(tmp_path).binaries(set())
    assert {binary.id for binary in found} == {*names}
    assert found[-1].id == names[1]
    assert len({binary.sha256 for binary in found}) == len(read) == 2


def left(logs: Path, account: bytes | None) -> Job:
    """Leave a run behind, and return what is found of it."""
    job_id = str(uuid4())
    log = RunLogWriter.create(logs, "shop", job_id)
    log.append_stdout(RESULT)
    log.close()
    if account is not None:
        write_manifest(logs, "shop", job_id, account)
    [found] = found_in(logs).runs(set())
    assert (found.id, found.spec.name, found.state) == (job_id, "shop", State.INTERRUPTED)
    assert found.cause is not None
    assert found.cause.reason == "state-lost"
    assert found.has_log
    return found


def test_a_run_with_its_account(tmp_path: Path) -> None:
    """What was delivered of it is known, so that it is not sent again."""
    results = ResultCounts(read=5, invalid=1, delivered=3, rejected=1, committed=len(RESULT))
    job = Job("id", JobSpec("shop", 1, 1, "b"), NOW)
    job.restore_results(results)
    assert left(tmp_path, rebuild.manifest(job)).results == results


@pytest.mark.parametrize("account", [None, b"", b"{", b'{"read": "x"}', b'{"read": 1}', b"\xff"])
def test_a_run_without_an_account(tmp_path: Path, account: bytes | None) -> None:
    """One that has none, or half of one, is counted from its beginning."""
    assert left(tmp_path, account).results == ResultCounts()


def test_what_is_no_run(tmp_path: Path) -> None:
    """Other files, links and directories are passed over."""
    (tmp_path / "file").write_text("")
    (tmp_path / "shop" / "notes").mkdir(parents=True)
    (tmp_path / "shop" / str(uuid4())).mkdir()
    (tmp_path / "linked").symlink_to("shop")
    assert found_in(tmp_path).runs(set()) == []
    assert not found_in(tmp_path).any_left()
