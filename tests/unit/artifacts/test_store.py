"""The artifact store: uploads are stored whole or not at all, and run only unchanged."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

import pytest

from goloagent.artifacts.pending_upload import BinaryExists, NotExecutable, PendingUpload
from goloagent.artifacts.quota import QuotaExceeded
from goloagent.artifacts.store import ArtifactStore, BinaryChanged, BinaryNeeded
from goloagent.core.job_spec import JobSpec
from goloagent.jobs.database import Binary, Content, Store
from goloagent.jobs.job import Job, State

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
SCRIPT = b"#!/bin/sh\nexit 0\n"
ELF = b"\x7fELF" + bytes(100)


@pytest.fixture
def artifacts(tmp_path: Path) -> Iterator[ArtifactStore]:
    """Return an empty artifact store."""
    store = Store(tmp_path / "agent.sqlite")
    artifacts = ArtifactStore(tmp_path, store, lambda: NOW)
    artifacts.open()
    yield artifacts
    store.close()


def files(artifacts: ArtifactStore) -> list[Path]:
    """Return every file of an upload, complete or not."""
    folders = (artifacts.incoming, artifacts.ids, artifacts.contents)
    return [path for folder in folders for path in folder.iterdir()]


def files_of(artifacts: ArtifactStore, *binaries: Binary) -> list[Path]:
    """Return the links of binaries and the one content that they share."""
    links = [artifacts.ids / binary.id for binary in binaries]
    return [*links, artifacts.contents / binaries[0].sha256]


def commit(artifacts: ArtifactStore) -> None:
    """Sync everything, as `GroupCommit` does."""
    artifacts.sync()
    artifacts.store.sync()
    artifacts.committed(artifacts.store.changes)


def begin(artifacts: ArtifactStore, content: bytes = SCRIPT) -> PendingUpload:
    """Write an upload without ending it."""
    upload = artifacts.receive()
    upload.write(content)
    return upload


def add(artifacts: ArtifactStore, content: bytes = SCRIPT) -> Binary:
    """Upload `content`."""
    upload = begin(artifacts, content)
    upload.sync(upload.duplicate())
    binary = upload.commit()
    commit(artifacts)
    return binary


def inode(artifacts: ArtifactStore, binary: Binary) -> int:
    """Return the inode of a binary's content."""
    return (artifacts.ids / binary.id).stat().st_ino


def job_of(binary: Binary) -> Job:
    """Return a queued job that runs a binary."""
    return Job(f"job of {binary.id}", JobSpec("shop", 1, 1, binary.id), NOW)


@pytest.mark.parametrize("content", [SCRIPT, ELF, b"#!", b"\x7fELF"])
@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_a_committed_upload_is_whole(artifacts: ArtifactStore, content: bytes, piece: int) -> None:
    """For any split of its bytes, the binary is complete, recorded, executable, and stays."""
    upload = artifacts.receive()
    for start in range(0, len(content), piece):
        upload.write(content[start : start + piece])
    binary = upload.commit()
    upload.discard()
    assert binary == Binary(upload.id, hashlib.sha256(content).hexdigest(), len(content), NOW)
    assert artifacts.store.binary(binary.id) == binary
    assert files(artifacts) == files_of(artifacts, binary)
    path = artifacts.ids / binary.id
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o555


@pytest.mark.parametrize("content", [b"", b"#", b"\x7fEL", b"MZ\x90\x00", b" #!/bin/sh", b"#\n!"])
def test_an_upload_that_is_not_executable_is_refused(
    artifacts: ArtifactStore, content: bytes
) -> None:
    """Bytes that start neither as ELF nor as a script are discarded."""
    with pytest.raises(NotExecutable, match="neither an ELF file nor a script"):
        add(artifacts, content)
    assert files(artifacts) == []


def test_a_discarded_upload_leaves_no_file(artifacts: ArtifactStore) -> None:
    """It has no file and no row, and may be discarded twice."""
    upload = begin(artifacts)
    upload.discard()
    upload.discard()
    assert files(artifacts) == []
    assert artifacts.store.binary(upload.id) is None


def test_an_existing_id_is_not_overwritten(artifacts: ArtifactStore) -> None:
    """The error has the text that golo-cli users know."""
    upload = begin(artifacts)
    (artifacts.ids / upload.id).write_bytes(b"first")
    with pytest.raises(BinaryExists, match=f"^Binary {upload.id} exists$"):
        upload.commit()
    assert (artifacts.ids / upload.id).read_bytes() == b"first"
    assert list(artifacts.incoming.iterdir()) == []


def test_an_upload_that_cannot_be_recorded_leaves_no_file(artifacts: ArtifactStore) -> None:
    """A file without a row would never be removed."""
    upload = begin(artifacts)
    artifacts.store.freeze()
    with pytest.raises(OSError, match="disk of the database"):
        upload.commit()
    assert files(artifacts) == []


def test_leftovers_are_found_at_the_start(artifacts: ArtifactStore) -> None:
    """Only unfinished uploads and removals of the previous process count, by name and kind."""
    binary = add(artifacts)
    unfinished = begin(artifacts)
    (artifacts.incoming / f"{'0' * 64}.removed").write_bytes(SCRIPT)
    for name in ("notes", os.fsdecode(b"\xff"), "x.removed"):
        (artifacts.incoming / name).write_text("another program's")
    (artifacts.incoming / str(uuid4())).mkdir()
    (artifacts.incoming / str(uuid4())).symlink_to("nowhere")
    before = files(artifacts)
    assert {*artifacts.open()} == {
        artifacts.incoming / unfinished.id,
        artifacts.incoming / f"{'0' * 64}.removed",
    }
    assert files(artifacts) == before
    assert artifacts.ids / binary.id in before
    unfinished.discard()


def test_binaries_without_a_row_stay(artifacts: ArtifactStore) -> None:
    """Their rows may have been lost with the database."""
    binary = add(artifacts)
    for name in ("1b4e28ba-2fa1-11d2-883f-0016d3cca427", "notes", "work"):
        (artifacts.ids / name).write_bytes(SCRIPT)
        (artifacts.contents / name).write_bytes(SCRIPT)
    (artifacts.ids / "directory").mkdir()
    artifacts.store.remove_binary(binary.id)
    before = files(artifacts)
    assert artifacts.open() == []
    assert files(artifacts) == before


def test_the_directories_are_private(artifacts: ArtifactStore) -> None:
    """Only the agent's user can open them."""
    for directory in (artifacts.incoming, artifacts.ids, artifacts.contents):
        assert directory.stat().st_mode & 0o777 == 0o700


def test_a_verified_copy(artifacts: ArtifactStore, tmp_path: Path) -> None:
    """A run gets the uploaded bytes as a file of its own, which it may change."""
    binary = add(artifacts)
    target = tmp_path / "program"
    artifacts.copy_verified(binary, target)
    assert target.read_bytes() == SCRIPT
    assert target.stat().st_mode & 0o777 == 0o555
    target.chmod(0o755)
    target.write_bytes(b"mine")
    assert (artifacts.ids / binary.id).read_bytes() == SCRIPT
    with pytest.raises(FileExistsError):  # it overwrites no file
        artifacts.copy_verified(binary, target)
    assert target.read_bytes() == b"mine"


@pytest.mark.parametrize("content", [SCRIPT + b"#", SCRIPT[:-1], b""])
def test_a_binary_that_changed_is_not_run(
    artifacts: ArtifactStore, tmp_path: Path, content: bytes
) -> None:
    """If a byte was added or removed since the upload, there is no copy."""
    binary = add(artifacts)
    path = artifacts.ids / binary.id
    path.unlink()
    path.write_bytes(content)
    with pytest.raises(BinaryChanged, match=f"binary {binary.id} has changed"):
        artifacts.copy_verified(binary, tmp_path / "program")
    assert not (tmp_path / "program").exists()


@pytest.mark.parametrize(
    "put",
    [
        lambda path: None,
        os.mkfifo,
        os.mkdir,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: os.mknod(path, stat.S_IFSOCK | 0o600),
    ],
    ids=["missing", "FIFO", "directory", "device", "socket"],
)
def test_a_binary_that_is_gone_is_not_run(
    artifacts: ArtifactStore, tmp_path: Path, put: Callable[[Path], None]
) -> None:
    """A missing or special file is an error; a FIFO does not block and a device is not read."""
    binary = add(artifacts)
    content = artifacts.contents / binary.sha256
    content.unlink()
    put(content)
    with pytest.raises(BinaryChanged, match=f"binary {binary.id} is gone"):
        artifacts.copy_verified(binary, tmp_path / "program")
    assert not (tmp_path / "program").exists()


def test_r8_an_upload_below_the_floor(tmp_path: Path) -> None:
    """It fails as if the disk were full, before a byte is written."""
    store = Store(tmp_path / "agent.sqlite")
    artifacts = ArtifactStore(tmp_path, store, lambda: NOW, lambda: "Too little is free.")
    artifacts.open()
    with pytest.raises(OSError, match="Too little is free") as refused:
        artifacts.receive()
    assert refused.value.errno == errno.ENOSPC
    assert files(artifacts) == []
    store.close()


def test_equal_contents_are_one_file(artifacts: ArtifactStore) -> None:
    """A second upload of a content is another binary without another copy."""
    first, second, other = add(artifacts), add(artifacts), add(artifacts, ELF)
    assert first.id != second.id
    assert (first.sha256, first.size) == (second.sha256, second.size)
    assert inode(artifacts, first) == inode(artifacts, second) != inode(artifacts, other)
    assert len(list(artifacts.contents.iterdir())) == 2
    assert (artifacts.ids / second.id).stat().st_mode & 0o777 == 0o555
    assert artifacts.store.binary(second.id) == second


@pytest.mark.parametrize(
    "put",
    [
        lambda path: None,
        lambda path: path.write_bytes(SCRIPT[:-1] + b"#"),
        os.mkfifo,
        lambda path: path.symlink_to("/dev/zero"),
    ],
    ids=["missing", "changed", "FIFO", "device"],
)
def test_an_upload_repairs_a_damaged_content(
    artifacts: ArtifactStore, put: Callable[[Path], object]
) -> None:
    """An upload replaces a damaged content of its hash, for all binaries that share it."""
    first = add(artifacts)
    content = artifacts.contents / first.sha256
    content.unlink()
    put(content)
    second = add(artifacts)
    for binary in (first, second):
        assert (artifacts.ids / binary.id).read_bytes() == SCRIPT
    assert list(artifacts.incoming.iterdir()) == []


def test_any_number_of_binaries_shares_a_content(
    artifacts: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their number is not limited by hard links, and sharing works where hard links fail."""
    first = add(artifacts)
    for _ in range(5):
        add(artifacts)
    assert (artifacts.contents / first.sha256).stat().st_nlink == 1

    def fail(*_: object) -> None:
        raise OSError(errno.EMLINK, "Too many links")

    monkeypatch.setattr(Path, "hardlink_to", fail)
    last = add(artifacts)
    assert (artifacts.ids / last.id).read_bytes() == SCRIPT
    assert len(list(artifacts.contents.iterdir())) == 1


@pytest.mark.parametrize("is_linked", [False, True])
def test_a_duplicate_that_is_removed_during_an_upload(
    artifacts: ArtifactStore, is_linked: bool
) -> None:
    """The upload has its content, whether the duplicate goes before or after the hard link."""
    first = add(artifacts)
    upload = begin(artifacts)
    duplicate = upload.duplicate()
    assert duplicate == first
    if is_linked:
        upload.sync(duplicate)
        artifacts.remove(first)
    else:
        artifacts.remove(first)
        upload.sync(duplicate)
    binary = upload.commit()
    commit(artifacts)
    assert (artifacts.ids / binary.id).read_bytes() == SCRIPT
    assert files(artifacts) == files_of(artifacts, binary)


def test_a_kill_between_the_link_and_the_row(artifacts: ArtifactStore, tmp_path: Path) -> None:
    """The shared content is intact after a restart, and is shared again."""
    first = add(artifacts)
    upload = begin(artifacts)
    upload.sync(upload.duplicate())
    # The steps of `commit` before the row.
    (artifacts.ids / upload.id).symlink_to(f"../contents/{first.sha256}")
    (artifacts.incoming / upload.id).replace(artifacts.contents / first.sha256)
    store = Store(tmp_path / "agent.sqlite")
    restarted = ArtifactStore(tmp_path, store, lambda: NOW)
    restarted.open()
    assert store.binaries() == [first]
    restarted.copy_verified(first, tmp_path / "program")
    second = add(restarted)
    assert inode(restarted, first) == inode(restarted, second)
    store.close()
    upload.discard()


def test_a_removed_binary(artifacts: ArtifactStore) -> None:
    """Its row goes at once, its files once that is durable; a shared content stays."""
    first, second = add(artifacts), add(artifacts)
    artifacts.remove(first)
    assert artifacts.store.binaries() == [second]
    assert list(artifacts.ids.iterdir()) == [artifacts.ids / second.id]
    artifacts.committed(artifacts.store.changes - 1)
    assert len(list(artifacts.incoming.iterdir())) == 1
    commit(artifacts)
    assert files(artifacts) == files_of(artifacts, second)
    assert (artifacts.ids / second.id).read_bytes() == SCRIPT
    (artifacts.contents / second.sha256).unlink()
    artifacts.remove(second)
    commit(artifacts)
    assert artifacts.store.binaries() == []
    assert files(artifacts) == []


def test_a_removed_binary_whose_content_is_a_directory(artifacts: ArtifactStore) -> None:
    """The directory is removed, and so are other binaries."""
    odd, other = add(artifacts), add(artifacts, ELF)
    content = artifacts.contents / odd.sha256
    content.unlink()
    (content / "inside").mkdir(parents=True)
    for binary in (odd, other):
        artifacts.remove(binary)
    commit(artifacts)
    assert files(artifacts) == []


def test_an_error_of_a_removal_affects_no_other(
    artifacts: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is raised after the other files are removed."""
    stuck, other = add(artifacts), add(artifacts, ELF)

    def remove(path: Path) -> None:
        if path.name.startswith(stuck.sha256):
            raise OSError(errno.EIO, "the disk")
        path.unlink()

    monkeypatch.setattr("goloagent.artifacts.store.remove", remove)
    for binary in (stuck, other):
        artifacts.remove(binary)
    with pytest.raises(OSError, match="the disk"):
        commit(artifacts)
    [left] = files(artifacts)
    assert left.name.startswith(stuck.sha256)


def test_a_power_cut_before_a_removal_is_durable(artifacts: ArtifactStore, tmp_path: Path) -> None:
    """If the row still exists, the content is restored; otherwise it is removed."""
    first, other = add(artifacts), add(artifacts, ELF)
    for binary in (first, other):
        artifacts.remove(binary)
    artifacts.store.add_binary(first)  # its removal was not synced
    restarted = ArtifactStore(tmp_path, artifacts.store, lambda: NOW)
    leftovers = restarted.open()
    restarted.copy_verified(first, tmp_path / "program")
    assert list(restarted.contents.iterdir()) == [restarted.contents / first.sha256]
    assert list(restarted.incoming.iterdir()) == leftovers
    assert {path.name.partition(".")[0] for path in leftovers} == {other.id, other.sha256}


def test_a_content_that_is_uploaded_again_during_its_removal(artifacts: ArtifactStore) -> None:
    """The removal does not affect the new upload."""
    artifacts.remove(add(artifacts))
    second = add(artifacts)
    assert (artifacts.ids / second.id).read_bytes() == SCRIPT
    assert files(artifacts) == files_of(artifacts, second)


@pytest.fixture
def first_version(artifacts: ArtifactStore) -> list[Binary]:
    """Return what version 0.1.0 stored: files named by ids, hard links where contents are equal."""
    ids = [f"6c2f3a86-0000-4000-8000-00000000000{number}" for number in range(3)]
    (artifacts.ids / ids[0]).write_bytes(SCRIPT)
    (artifacts.ids / ids[1]).hardlink_to(artifacts.ids / ids[0])
    (artifacts.ids / ids[2]).write_bytes(ELF)
    binaries = []
    for binary_id in ids:
        content = (artifacts.ids / binary_id).read_bytes()
        (artifacts.ids / binary_id).chmod(0o555)
        binaries.append(Binary(binary_id, hashlib.sha256(content).hexdigest(), len(content), NOW))
        artifacts.store.add_binary(binaries[-1])
    return binaries


def test_binaries_of_the_first_version(
    artifacts: ArtifactStore, first_version: list[Binary], tmp_path: Path
) -> None:
    """They run, are shared by new uploads, and are removed independently of these."""
    artifacts.open()
    for number, binary in enumerate(first_version):
        artifacts.copy_verified(binary, tmp_path / f"program-{number}")
    again = add(artifacts)
    assert inode(artifacts, again) == inode(artifacts, first_version[0])
    for binary in first_version:
        artifacts.remove(binary)
    commit(artifacts)
    assert (artifacts.ids / again.id).read_bytes() == SCRIPT
    assert files(artifacts) == files_of(artifacts, again)
    artifacts.remove(again)
    commit(artifacts)
    assert files(artifacts) == []


def test_a_content_of_the_first_version_is_evicted(
    artifacts: ArtifactStore, first_version: list[Binary]
) -> None:
    """All its ids are removed, files and links."""
    add(artifacts)
    artifacts.max_bytes = len(ELF) + len(numbered(1))
    add(artifacts, ELF)
    add(artifacts, numbered(1))
    assert {binary.sha256 for binary in first_version[:2]}.isdisjoint(
        content.sha256 for content in artifacts.store.contents()
    )
    assert len(list(artifacts.contents.iterdir())) == 2


def test_a_binary_that_a_job_needs_is_not_removed(artifacts: ArtifactStore) -> None:
    """It stays until the job is over, even if another binary has the same content."""
    first, second = add(artifacts), add(artifacts)
    job = job_of(first)
    artifacts.store.add(job)
    with pytest.raises(BinaryNeeded, match=f"a job that is not over needs binary {first.id}"):
        artifacts.remove(first)
    assert artifacts.store.binaries() == [second, first]
    job.state = State.CANCELLED
    artifacts.store.save(job)
    artifacts.remove(first)
    assert artifacts.store.binaries() == [second]


def numbered(number: int) -> bytes:
    """Return a unique script of 20 bytes."""
    return b"#!/bin/sh\n# %8d" % number


@pytest.fixture
def full(tmp_path: Path) -> Iterator[ArtifactStore]:
    """Return a store whose quota is reached by its three binaries of 20 bytes each."""
    store = Store(tmp_path / "agent.sqlite")
    evicted: list[str] = []
    artifacts = ArtifactStore(
        tmp_path,
        store,
        lambda: NOW,
        max_bytes=60,
        on_evicted=lambda content, ids: evicted.extend(ids),
    )
    artifacts.open()
    for number in range(3):
        add(artifacts, numbered(number))
    assert evicted == []
    yield artifacts
    assert all(store.binary(binary_id) is None for binary_id in evicted)
    store.close()


def test_the_oldest_binary_is_evicted(full: ArtifactStore) -> None:
    """Each upload above the quota removes the oldest binary, file and row."""
    before = full.store.binaries()
    added = add(full, numbered(3))
    remaining = full.store.binaries()
    assert remaining == [added, *before[:2]]
    assert sorted(files(full)) == sorted(
        path for binary in remaining for path in files_of(full, binary)
    )


def test_duplicates_do_not_count_toward_the_quota(full: ArtifactStore) -> None:
    """The quota counts contents; evicting one removes all its binaries."""
    oldest = full.store.binaries()[-1]
    duplicates = [add(full, numbered(0)) for _ in range(10)]
    assert len(full.store.binaries()) == 13
    assert sum(content.size for content in full.store.contents()) == 60
    add(full, numbered(4))  # evicts another, because the duplicates made this content the newest
    assert full.store.binary(duplicates[0].id) is not None
    add(full, numbered(5))
    add(full, numbered(6))
    assert not {binary.id for binary in [oldest, *duplicates]} & {
        binary.id for binary in full.store.binaries()
    }
    assert len(list(full.contents.iterdir())) == len(list(full.ids.iterdir())) == 3


def test_a_content_that_a_job_needs_is_not_evicted(full: ArtifactStore) -> None:
    """Another is; if jobs need all, the upload is refused and removes none."""
    oldest = full.store.binaries()[-1]
    full.store.add(job_of(oldest))
    add(full, numbered(3))
    assert full.store.binary(oldest.id) == oldest
    for binary in full.store.binaries():
        if binary != oldest:
            full.store.add(job_of(binary))
    before, on_disk = full.store.binaries(), files(full)
    with pytest.raises(QuotaExceeded, match="a binary of 20 bytes exceeds the quota"):
        add(full, numbered(4))
    assert (full.store.binaries(), files(full)) == (before, on_disk)
    assert add(full, numbered(3)).size == 20


def test_an_invalid_upload_evicts_no_content(full: ArtifactStore) -> None:
    """The executable format is checked before the quota."""
    before = full.store.binaries()
    with pytest.raises(NotExecutable):
        add(full, b"MZ and no executable")
    assert full.store.binaries() == before


def test_a_job_may_need_a_missing_binary(full: ArtifactStore) -> None:
    """A row lost to damage does not prevent uploads."""
    full.store.add(Job("j", JobSpec("shop", 1, 1, "missing"), NOW))
    assert Content(add(full, numbered(3)).sha256, 20) in full.store.contents()
