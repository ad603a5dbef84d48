"""An upload becomes a binary whole or not at all, and is run only as it was uploaded."""

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

from goloagent.artifacts.quota import QuotaExceeded
from goloagent.artifacts.store import (
    ArtifactStore,
    BinaryChanged,
    BinaryExists,
    BinaryNeeded,
    NotExecutable,
)
from goloagent.jobs.database import Binary, Content, Store
from goloagent.jobs.job import Job, State
from goloagent.jobs.spec import JobSpec

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
SCRIPT = b"#!/bin/sh\nexit 0\n"
ELF = b"\x7fELF" + bytes(100)


@pytest.fixture
def binaries(tmp_path: Path) -> Iterator[ArtifactStore]:
    """Return the binaries of a new agent."""
    store = Store(tmp_path / "agent.sqlite")
    binaries = ArtifactStore(tmp_path, store, lambda: NOW)
    binaries.open()
    yield binaries
    store.close()


def files(binaries: ArtifactStore) -> list[Path]:
    """Return every file of an upload, complete or not."""
    folders = (binaries.incoming, binaries.ids, binaries.contents)
    return [path for folder in folders for path in folder.iterdir()]


def file(binaries: ArtifactStore, sha256: str) -> Path:
    """Return where a content lies."""
    return binaries.contents / sha256


def commit(binaries: ArtifactStore) -> None:
    """Have everything synced, as `Committer` does."""
    binaries.sync()
    binaries.store.sync()
    binaries.committed(binaries.store.changes)


def keep(binaries: ArtifactStore, content: bytes) -> Binary:
    """Upload `content`."""
    upload = binaries.receive()
    upload.write(content)
    upload.sync(upload.duplicate())
    binary = upload.commit()
    commit(binaries)
    return binary


def file_of(binaries: ArtifactStore, binary: Binary) -> int:
    """Return which file holds a binary."""
    return (binaries.ids / binary.id).stat().st_ino


def job_of(binary: Binary) -> Job:
    """Return a job that waits to run a binary."""
    return Job(f"job of {binary.id}", JobSpec("shop", 1, 1, binary.id), NOW)


@pytest.mark.parametrize("content", [SCRIPT, ELF, b"#!", b"\x7fELF"])
@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_a_kept_upload_is_whole(binaries: ArtifactStore, content: bytes, piece: int) -> None:
    """However its bytes came, the binary has them all, is on record and can be run."""
    upload = binaries.receive()
    for start in range(0, len(content), piece):
        upload.write(content[start : start + piece])
    binary = upload.commit()
    digest = hashlib.sha256(content).hexdigest()
    assert binary == Binary(upload.id, digest, len(content), NOW)
    assert binaries.store.binary(binary.id) == binary
    kept = binaries.ids / binary.id
    assert files(binaries) == [kept, file(binaries, digest)]
    assert kept.read_bytes() == content
    assert kept.stat().st_mode & 0o777 == 0o555


@pytest.mark.parametrize("content", [b"", b"#", b"\x7fEL", b"MZ\x90\x00", b" #!/bin/sh", b"#\n!"])
def test_what_no_kernel_runs_is_not_kept(binaries: ArtifactStore, content: bytes) -> None:
    """Bytes that start as neither ELF nor a script are refused and leave nothing."""
    with pytest.raises(NotExecutable, match="neither an ELF file nor a script"):
        keep(binaries, content)
    assert files(binaries) == []


def test_a_discarded_upload_leaves_nothing(binaries: ArtifactStore) -> None:
    """An upload that was cut has no file and no record, and may be discarded twice."""
    upload = binaries.receive()
    upload.write(SCRIPT)
    upload.discard()
    upload.discard()
    assert files(binaries) == []
    assert binaries.store.binary(upload.id) is None


def test_discard_after_keep_does_nothing(binaries: ArtifactStore) -> None:
    """Whoever ends an upload in any case does not take the binary away."""
    upload = binaries.receive()
    upload.write(SCRIPT)
    upload.commit()
    upload.discard()
    assert (binaries.ids / upload.id).read_bytes() == SCRIPT


def test_an_id_that_is_taken_stays_as_it_is(binaries: ArtifactStore) -> None:
    """A binary is never overwritten, and the refusal says so as clients know it."""
    upload = binaries.receive()
    (binaries.ids / upload.id).write_bytes(b"first")
    upload.write(SCRIPT)
    with pytest.raises(BinaryExists, match=f"^Binary {upload.id} exists$"):
        upload.commit()
    assert (binaries.ids / upload.id).read_bytes() == b"first"
    assert list(binaries.incoming.iterdir()) == []


def test_an_upload_that_cannot_be_recorded_leaves_nothing(binaries: ArtifactStore) -> None:
    """A file without a record would never be removed."""
    upload = binaries.receive()
    upload.write(SCRIPT)
    binaries.store.freeze()
    with pytest.raises(OSError, match="disk of the database"):
        upload.commit()
    assert files(binaries) == []


def test_leftovers_are_found_at_the_start(binaries: ArtifactStore) -> None:
    """Only what an earlier life was receiving or removing may go, known by its name and kind."""
    binary = keep(binaries, SCRIPT)
    cut = binaries.receive()
    cut.write(SCRIPT)
    (binaries.incoming / f"{'0' * 64}.removed").write_bytes(SCRIPT)
    for name in ("notes", os.fsdecode(b"\xff"), "x.removed"):
        (binaries.incoming / name).write_text("somebody's")
    (binaries.incoming / str(uuid4())).mkdir()
    (binaries.incoming / str(uuid4())).symlink_to("nowhere")
    before = files(binaries)
    assert {*binaries.open()} == {
        binaries.incoming / cut.id,
        binaries.incoming / f"{'0' * 64}.removed",
    }
    assert files(binaries) == before
    assert binaries.ids / binary.id in before
    cut.discard()


def test_what_has_no_record_stays(binaries: ArtifactStore) -> None:
    """Nobody has asked to remove it: its record may be lost."""
    binary = keep(binaries, SCRIPT)
    for stray in ("1b4e28ba-2fa1-11d2-883f-0016d3cca427", "notes", "work"):
        (binaries.ids / stray).write_bytes(SCRIPT)
        (binaries.contents / stray).write_bytes(SCRIPT)
    (binaries.ids / "directory").mkdir()
    binaries.store.remove_binary(binary.id)
    before = files(binaries)
    assert binaries.open() == []
    assert files(binaries) == before


def test_nobody_else_gets_to_the_files(binaries: ArtifactStore) -> None:
    """The directories are the agent's own."""
    for directory in (binaries.incoming, binaries.ids, binaries.contents):
        assert directory.stat().st_mode & 0o777 == 0o700


def test_a_staged_binary_is_what_was_uploaded(binaries: ArtifactStore, tmp_path: Path) -> None:
    """Staging gives the run the same bytes at a place of its own."""
    binary = keep(binaries, SCRIPT)
    target = tmp_path / "program"
    binaries.copy_verified(binary, target)
    assert target.read_bytes() == SCRIPT
    assert target.stat().st_mode & 0o777 == 0o555
    # What its user makes of it is its own: the stored file is another.
    target.chmod(0o755)
    target.write_bytes(b"mine")
    assert (binaries.ids / binary.id).read_bytes() == SCRIPT


@pytest.mark.parametrize("content", [SCRIPT + b"#", SCRIPT[:-1], b""])
def test_a_binary_that_changed_is_not_run(
    binaries: ArtifactStore, tmp_path: Path, content: bytes
) -> None:
    """A byte more or less since the upload, and nothing is staged."""
    binary = keep(binaries, SCRIPT)
    kept = binaries.ids / binary.id
    kept.unlink()
    kept.write_bytes(content)
    with pytest.raises(BinaryChanged, match=f"binary {binary.id} has changed"):
        binaries.copy_verified(binary, tmp_path / "program")
    assert not (tmp_path / "program").exists()


def test_a_binary_that_is_gone_is_not_run(binaries: ArtifactStore, tmp_path: Path) -> None:
    """A record without its file says so."""
    binary = keep(binaries, SCRIPT)
    (binaries.ids / binary.id).unlink()
    with pytest.raises(BinaryChanged, match=f"binary {binary.id} is gone"):
        binaries.copy_verified(binary, tmp_path / "program")


@pytest.mark.parametrize(
    "put",
    [
        os.mkfifo,
        os.mkdir,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: os.mknod(path, stat.S_IFSOCK | 0o600),
    ],
)
def test_what_is_no_file_is_neither_run_nor_waited_for(
    binaries: ArtifactStore, tmp_path: Path, put: Callable[[Path], None]
) -> None:
    """A FIFO would keep its reader for ever, and a device may have no end."""
    binary = keep(binaries, SCRIPT)
    content = file(binaries, binary.sha256)
    content.unlink()
    put(content)
    with pytest.raises(BinaryChanged, match=f"binary {binary.id} is gone"):
        binaries.copy_verified(binary, tmp_path / "program")
    assert not (tmp_path / "program").exists()


@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_an_upload_replaces_what_is_no_file(
    binaries: ArtifactStore, put: Callable[[Path], None]
) -> None:
    """Nobody waits for what stands where its content should, and all that hold it are mended."""
    first = keep(binaries, SCRIPT)
    content = file(binaries, first.sha256)
    content.unlink()
    put(content)
    keep(binaries, SCRIPT)
    assert (binaries.ids / first.id).read_bytes() == SCRIPT


def test_staging_overwrites_nothing(binaries: ArtifactStore, tmp_path: Path) -> None:
    """A file in the way is an error and stays."""
    binary = keep(binaries, SCRIPT)
    target = tmp_path / "program"
    target.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        binaries.copy_verified(binary, target)
    assert target.read_bytes() == b"mine"


def test_r8_an_upload_below_the_floor(tmp_path: Path) -> None:
    """It is refused as by a full disk, before a byte is written."""
    store = Store(tmp_path / "agent.sqlite")
    short = ArtifactStore(tmp_path, store, lambda: NOW, lambda: "Too little is free.")
    short.open()
    with pytest.raises(OSError, match="Too little is free") as refused:
        short.receive()
    assert refused.value.errno == errno.ENOSPC
    assert files(short) == []
    store.close()


def test_the_same_content_is_one_file(binaries: ArtifactStore) -> None:
    """A second upload of it is a binary of its own, and costs no second copy."""
    first, second, other = keep(binaries, SCRIPT), keep(binaries, SCRIPT), keep(binaries, ELF)
    assert first.id != second.id
    assert (first.sha256, first.size) == (second.sha256, second.size)
    assert file_of(binaries, first) == file_of(binaries, second) != file_of(binaries, other)
    assert len(list(binaries.contents.iterdir())) == 2
    assert (binaries.ids / second.id).stat().st_mode & 0o777 == 0o555
    assert binaries.store.binary(second.id) == second


def _overwrite(file: Path) -> None:
    file.chmod(0o755)
    file.write_bytes(SCRIPT[:-1] + b"#")


@pytest.mark.parametrize("damage", [Path.unlink, _overwrite], ids=["gone", "changed"])
def test_an_upload_mends_a_damaged_content(
    binaries: ArtifactStore, damage: Callable[[Path], None]
) -> None:
    """What is stored and is not what it was is replaced, for all binaries that hold it."""
    first = keep(binaries, SCRIPT)
    damage(file(binaries, first.sha256))
    second = keep(binaries, SCRIPT)
    for binary in (first, second):
        assert (binaries.ids / binary.id).read_bytes() == SCRIPT
    assert list(binaries.incoming.iterdir()) == []


def test_any_number_of_binaries_shares_a_content(
    binaries: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are no further hard links, of which a file system allows few; none is needed at all."""
    first = keep(binaries, SCRIPT)
    for _ in range(5):
        keep(binaries, SCRIPT)
    assert file(binaries, first.sha256).stat().st_nlink == 1

    def full(*_: object) -> None:
        raise OSError(errno.EMLINK, "Too many links")

    monkeypatch.setattr(Path, "hardlink_to", full)
    last = keep(binaries, SCRIPT)
    assert (binaries.ids / last.id).read_bytes() == SCRIPT
    assert len(list(binaries.contents.iterdir())) == 1


def test_a_twin_that_is_removed_meanwhile(binaries: ArtifactStore) -> None:
    """Between the look and the link a binary may go; the upload has its own bytes."""
    first = keep(binaries, SCRIPT)
    upload = binaries.receive()
    upload.write(SCRIPT)
    twin = upload.duplicate()
    assert twin == first
    binaries.remove(first)
    upload.sync(twin)
    binary = upload.commit()
    commit(binaries)
    assert (binaries.ids / binary.id).read_bytes() == SCRIPT
    assert files(binaries) == [binaries.ids / binary.id, file(binaries, binary.sha256)]


def test_a_twin_that_is_removed_after_it_was_shared(binaries: ArtifactStore) -> None:
    """The upload holds the content itself, and it is there when the removal is done."""
    first = keep(binaries, SCRIPT)
    upload = binaries.receive()
    upload.write(SCRIPT)
    upload.sync(upload.duplicate())
    binaries.remove(first)
    binary = upload.commit()
    commit(binaries)
    assert (binaries.ids / binary.id).read_bytes() == SCRIPT
    assert files(binaries) == [binaries.ids / binary.id, file(binaries, binary.sha256)]


def test_a_kill_between_the_link_and_the_row(binaries: ArtifactStore, tmp_path: Path) -> None:
    """The binary whose file was being shared is whole in the next life, and is shared again."""
    first = keep(binaries, SCRIPT)
    upload = binaries.receive()
    upload.write(SCRIPT)
    upload.sync(upload.duplicate())
    # What `keep` has done when it is killed before the row.
    (binaries.ids / upload.id).symlink_to(f"../contents/{first.sha256}")
    (binaries.incoming / upload.id).replace(file(binaries, first.sha256))
    store = Store(tmp_path / "agent.sqlite")
    again = ArtifactStore(tmp_path, store, lambda: NOW)
    again.open()
    assert store.binaries() == [first]
    again.copy_verified(first, tmp_path / "program")
    second = keep(again, SCRIPT)
    assert file_of(again, first) == file_of(again, second)
    store.close()
    upload.discard()


def test_a_removed_binary(binaries: ArtifactStore) -> None:
    """Its row is gone at once, and its files when that is durable; what shared them stays."""
    first, second = keep(binaries, SCRIPT), keep(binaries, SCRIPT)
    binaries.remove(first)
    assert binaries.store.binaries() == [second]
    assert list(binaries.ids.iterdir()) == [binaries.ids / second.id]
    binaries.committed(binaries.store.changes - 1)
    assert len(list(binaries.incoming.iterdir())) == 1
    commit(binaries)
    assert files(binaries) == [binaries.ids / second.id, file(binaries, second.sha256)]
    assert (binaries.ids / second.id).read_bytes() == SCRIPT
    file(binaries, second.sha256).unlink()
    binaries.remove(second)
    commit(binaries)
    assert binaries.store.binaries() == files(binaries) == []


def test_a_removed_binary_that_is_no_file(binaries: ArtifactStore) -> None:
    """What stands in the place of its content goes with it, and holds up nothing else."""
    odd, other = keep(binaries, SCRIPT), keep(binaries, ELF)
    content = file(binaries, odd.sha256)
    content.unlink()
    (content / "inside").mkdir(parents=True)
    for binary in (odd, other):
        binaries.remove(binary)
    commit(binaries)
    assert files(binaries) == []


def test_what_cannot_be_removed_holds_up_nothing_else(
    binaries: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays, as an error of the disk; the others go."""
    stuck, other = keep(binaries, SCRIPT), keep(binaries, ELF)

    def remove(path: Path) -> None:
        if path.name.startswith(stuck.sha256):
            raise OSError(errno.EIO, "the disk")
        path.unlink()

    monkeypatch.setattr("goloagent.artifacts.store.remove", remove)
    for binary in (stuck, other):
        binaries.remove(binary)
    with pytest.raises(OSError, match="the disk"):
        commit(binaries)
    [left] = files(binaries)
    assert left.name.startswith(stuck.sha256)


def test_a_power_cut_before_a_removal_is_durable(binaries: ArtifactStore, tmp_path: Path) -> None:
    """Where the row is still there the content is put back; where it is gone it is removed."""
    first, other = keep(binaries, SCRIPT), keep(binaries, ELF)
    for binary in (first, other):
        binaries.remove(binary)
    binaries.store.add_binary(first)  # its removal was not synced
    again = ArtifactStore(tmp_path, binaries.store, lambda: NOW)
    leftovers = again.open()
    again.copy_verified(first, tmp_path / "program")
    assert list(again.contents.iterdir()) == [file(again, first.sha256)]
    assert list(again.incoming.iterdir()) == leftovers
    assert {path.name.partition(".")[0] for path in leftovers} == {other.id, other.sha256}


def test_a_content_that_comes_again_while_it_is_removed(binaries: ArtifactStore) -> None:
    """The removal of the one takes nothing from the other."""
    first = keep(binaries, SCRIPT)
    binaries.remove(first)
    second = keep(binaries, SCRIPT)
    assert (binaries.ids / second.id).read_bytes() == SCRIPT
    assert files(binaries) == [binaries.ids / second.id, file(binaries, second.sha256)]


@pytest.fixture
def first_version(binaries: ArtifactStore) -> list[Binary]:
    """Leave what version 0.1.0 leaves: files named by ids, hard links where contents are equal."""
    ids = [f"6c2f3a86-0000-4000-8000-00000000000{number}" for number in range(3)]
    (binaries.ids / ids[0]).write_bytes(SCRIPT)
    (binaries.ids / ids[1]).hardlink_to(binaries.ids / ids[0])
    (binaries.ids / ids[2]).write_bytes(ELF)
    left = []
    for binary_id in ids:
        content = (binaries.ids / binary_id).read_bytes()
        (binaries.ids / binary_id).chmod(0o555)
        left.append(Binary(binary_id, hashlib.sha256(content).hexdigest(), len(content), NOW))
        binaries.store.add_binary(left[-1])
    return left


def test_binaries_of_the_first_version(
    binaries: ArtifactStore, first_version: list[Binary], tmp_path: Path
) -> None:
    """They run, are shared by uploads, and are removed, beside those that come now."""
    binaries.open()
    for number, binary in enumerate(first_version):
        binaries.copy_verified(binary, tmp_path / f"program-{number}")
    again = keep(binaries, SCRIPT)
    assert file_of(binaries, again) == file_of(binaries, first_version[0])
    for binary in first_version:
        binaries.remove(binary)
    commit(binaries)
    assert (binaries.ids / again.id).read_bytes() == SCRIPT
    assert files(binaries) == [binaries.ids / again.id, file(binaries, again.sha256)]
    binaries.remove(again)
    commit(binaries)
    assert files(binaries) == []


def test_a_content_of_the_first_version_makes_room(
    binaries: ArtifactStore, first_version: list[Binary]
) -> None:
    """All ids of it go, whether they are files or links."""
    keep(binaries, SCRIPT)
    binaries.max_bytes = len(ELF) + len(numbered(1))
    keep(binaries, ELF)
    keep(binaries, numbered(1))
    assert {binary.sha256 for binary in first_version[:2]}.isdisjoint(
        content.sha256 for content in binaries.store.contents()
    )
    assert len(list(binaries.contents.iterdir())) == 2


def test_a_binary_that_a_job_needs_is_not_removed(binaries: ArtifactStore) -> None:
    """Until the job is over it stays, although another holds the same."""
    first, second = keep(binaries, SCRIPT), keep(binaries, SCRIPT)
    waits = job_of(first)
    binaries.store.add(waits)
    with pytest.raises(BinaryNeeded, match=f"a job that is not over needs binary {first.id}"):
        binaries.remove(first)
    assert binaries.store.binaries() == [second, first]
    waits.state = State.CANCELLED
    binaries.store.save(waits)
    binaries.remove(first)
    assert binaries.store.binaries() == [second]


def numbered(number: int) -> bytes:
    """Return a script of 20 bytes, unlike the others."""
    return b"#!/bin/sh\n# %8d" % number


@pytest.fixture
def full(tmp_path: Path) -> Iterator[ArtifactStore]:
    """Return binaries of 20 bytes each, of which three have room."""
    store = Store(tmp_path / "agent.sqlite")
    dropped: list[str] = []
    binaries = ArtifactStore(
        tmp_path,
        store,
        lambda: NOW,
        max_bytes=60,
        on_evicted=lambda content, ids: dropped.extend(ids),
    )
    binaries.open()
    for number in range(3):
        keep(binaries, numbered(number))
    assert dropped == []
    yield binaries
    assert all(store.binary(binary_id) is None for binary_id in dropped)
    store.close()


def test_the_oldest_binary_makes_room(full: ArtifactStore) -> None:
    """With each upload above the quota the oldest goes, file and row."""
    before = full.store.binaries()
    kept = keep(full, numbered(3))
    assert full.store.binaries() == [kept, *before[:2]]
    left = full.store.binaries()
    assert sorted(files(full)) == sorted(
        path for binary in left for path in (full.ids / binary.id, file(full, binary.sha256))
    )


def test_uploads_of_the_same_content_need_no_room(full: ArtifactStore) -> None:
    """The quota counts what lies on disk; all binaries of a content that makes room go."""
    oldest = full.store.binaries()[-1]
    again = [keep(full, numbered(0)) for _ in range(10)]
    assert len(full.store.binaries()) == 13
    assert sum(content.size for content in full.store.contents()) == 60
    # Uploaded again, it is the youngest.
    keep(full, numbered(4))
    assert full.store.binary(again[0].id) is not None
    keep(full, numbered(5))
    keep(full, numbered(6))
    assert not {binary.id for binary in [oldest, *again]} & {b.id for b in full.store.binaries()}
    assert len(list(full.contents.iterdir())) == len(list(full.ids.iterdir())) == 3


def test_what_a_queued_job_needs_is_never_removed(full: ArtifactStore) -> None:
    """Another makes room; without another the upload is refused, and removes nothing."""
    oldest = full.store.binaries()[-1]
    full.store.add(job_of(oldest))
    keep(full, numbered(3))
    assert full.store.binary(oldest.id) == oldest
    for binary in full.store.binaries():
        if binary != oldest:
            full.store.add(job_of(binary))
    before, on_disk = full.store.binaries(), files(full)
    with pytest.raises(QuotaExceeded, match="There is no room for a binary of 20 bytes"):
        keep(full, numbered(4))
    assert (full.store.binaries(), files(full)) == (before, on_disk)
    assert keep(full, numbered(3)).size == 20


def test_nothing_goes_for_what_is_no_binary(full: ArtifactStore) -> None:
    """An upload that is refused for itself removes no other."""
    before = full.store.binaries()
    with pytest.raises(NotExecutable):
        keep(full, b"MZ and no executable")
    assert full.store.binaries() == before


def test_a_job_may_need_a_binary_that_is_gone(full: ArtifactStore) -> None:
    """A row lost to damage prevents nobody's upload."""
    full.store.add(Job("j", JobSpec("shop", 1, 1, "nobody's"), NOW))
    assert Content(keep(full, numbered(3)).sha256, 20) in full.store.contents()
