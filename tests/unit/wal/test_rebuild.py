"""The scan for artifacts and runs that the database does not list."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from uuid import uuid4

import attrs
import msgspec
import pytest
from unit.runs.one_run import RESULT

from goloagent.artifacts import files
from goloagent.jobs.job import Job, ResultCounts, State
from goloagent.wal.rebuild import RunScanner
from goloagent.wal.run_log import RunLogWriter
from goloagent.wal.sidecar import MANIFEST, write_sidecar


def scanner(directory: Path) -> RunScanner:
    """Return a scanner for one directory of all files."""
    return RunScanner(directory, directory, directory)


def test_artifacts(tmp_path: Path) -> None:
    """Links to contents are artifacts, and so are files named by an id; nothing else is."""
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
    found, _ = scanner(kept).binaries(set())
    assert {binary.id for binary in found} == {of_first_version, linked, again}
    assert {(binary.sha256, binary.size) for binary in found} == {(sha256, 10)}


def test_artifacts_that_share_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is found, oldest first, and shared content is read once."""
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

    monkeypatch.setattr(files, "sha256_of", sha256_of)
    found, _ = scanner(tmp_path).binaries(set())
    assert {binary.id for binary in found} == {*names}
    assert found[-1].id == names[1]
    assert len({binary.sha256 for binary in found}) == len(read) == 2


def scan_run(logs: Path, manifest: bytes | None) -> Job:
    """Create a run with a manifest or none, and return what the scan finds."""
    job_id = str(uuid4())
    log = RunLogWriter.create(logs, "shop", job_id)
    log.append_stdout(RESULT)
    log.close()
    if manifest is not None:
        write_sidecar(logs, "shop", job_id, MANIFEST, manifest)
    [found] = scanner(logs).runs(set())
    assert (found.id, found.spec.name, found.state) == (job_id, "shop", State.INTERRUPTED)
    assert found.cause is not None
    assert found.cause.reason == "state-lost"
    assert found.has_log
    return found


def test_a_run_with_a_manifest(tmp_path: Path) -> None:
    """Its delivered part is known, so that it is not sent again."""
    results = ResultCounts(read=5, invalid=1, delivered=3, rejected=1, committed=len(RESULT))
    assert scan_run(tmp_path, msgspec.json.encode(attrs.asdict(results))).results == results


DAMAGED = [
    b'{"outputs": {"archive": {"committed": -1}}}',
    b'{"outputs": {"archive": {"committed": 100000000000000000000}}}',
    b'{"outputs": {"archive": {"unit": "hour"}}}',
    b'{"outputs": {"collector": {}}}',
]


@pytest.mark.parametrize(
    "manifest", [None, b"", b"{", b'{"read": "x"}', b'{"read": 1}', b"\xff", *DAMAGED]
)
def test_a_run_without_a_manifest(tmp_path: Path, manifest: bytes | None) -> None:
    """With no manifest, or a damaged one, all counts are zero."""
    job = scan_run(tmp_path, manifest)
    assert (job.results, job.outputs) == (ResultCounts(), {})


def test_other_files(tmp_path: Path) -> None:
    """Other files, links and directories are skipped."""
    (tmp_path / "file").write_text("")
    (tmp_path / "shop" / "notes").mkdir(parents=True)
    (tmp_path / "shop" / str(uuid4())).mkdir()
    (tmp_path / "linked").symlink_to("shop")
    assert scanner(tmp_path).runs(set()) == []
    assert not scanner(tmp_path).any_left()
