"""An upload becomes a binary whole or not at all, and is run only as it was uploaded."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from goloagent.jobs.binaries import Binaries, BinaryChanged, BinaryExists, NotExecutable
from goloagent.jobs.store import Binary, Store

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
SCRIPT = b"#!/bin/sh\nexit 0\n"
ELF = b"\x7fELF" + bytes(100)


@pytest.fixture
def binaries(tmp_path: Path) -> Iterator[Binaries]:
    """Return the binaries of a new agent."""
    store = Store(tmp_path / "agent.sqlite")
    binaries = Binaries(tmp_path, store, lambda: NOW)
    binaries.open()
    yield binaries
    store.close()


def files(binaries: Binaries) -> list[Path]:
    """Return every file of an upload, complete or not."""
    return [*binaries.incoming.iterdir(), *binaries.kept.iterdir()]


def keep(binaries: Binaries, content: bytes) -> Binary:
    """Upload `content`."""
    upload = binaries.receive()
    upload.write(content)
    return upload.keep()


@pytest.mark.parametrize("content", [SCRIPT, ELF, b"#!", b"\x7fELF"])
@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_a_kept_upload_is_whole(binaries: Binaries, content: bytes, piece: int) -> None:
    """However its bytes came, the binary has them all, is on record and can be run."""
    upload = binaries.receive()
    for start in range(0, len(content), piece):
        upload.write(content[start : start + piece])
    binary = upload.keep()
    digest = hashlib.sha256(content).hexdigest()
    assert binary == Binary(upload.id, digest, len(content), NOW)
    assert binaries.store.binary(binary.id) == binary
    kept = binaries.kept / binary.id
    assert files(binaries) == [kept]
    assert kept.read_bytes() == content
    assert kept.stat().st_mode & 0o777 == 0o555


@pytest.mark.parametrize("content", [b"", b"#", b"\x7fEL", b"MZ\x90\x00", b" #!/bin/sh", b"#\n!"])
def test_what_no_kernel_runs_is_not_kept(binaries: Binaries, content: bytes) -> None:
    """Bytes that start as neither ELF nor a script are refused and leave nothing."""
    with pytest.raises(NotExecutable, match="neither an ELF file nor a script"):
        keep(binaries, content)
    assert files(binaries) == []


def test_a_discarded_upload_leaves_nothing(binaries: Binaries) -> None:
    """An upload that was cut has no file and no record, and may be discarded twice."""
    upload = binaries.receive()
    upload.write(SCRIPT)
    upload.discard()
    upload.discard()
    assert files(binaries) == []
    assert binaries.store.binary(upload.id) is None


def test_discard_after_keep_does_nothing(binaries: Binaries) -> None:
    """Whoever ends an upload in any case does not take the binary away."""
    upload = binaries.receive()
    upload.write(SCRIPT)
    upload.keep()
    upload.discard()
    assert (binaries.kept / upload.id).read_bytes() == SCRIPT


def test_an_id_that_is_taken_stays_as_it_is(binaries: Binaries) -> None:
    """A binary is never overwritten, and the refusal says so as clients know it."""
    upload = binaries.receive()
    (binaries.kept / upload.id).write_bytes(b"first")
    upload.write(SCRIPT)
    with pytest.raises(BinaryExists, match=f"^Binary {upload.id} exists$"):
        upload.keep()
    assert (binaries.kept / upload.id).read_bytes() == b"first"
    assert list(binaries.incoming.iterdir()) == []


def test_an_upload_that_cannot_be_recorded_leaves_nothing(binaries: Binaries) -> None:
    """A file without a record would never be removed."""
    upload = binaries.receive()
    upload.write(SCRIPT)
    binaries.store.freeze()
    with pytest.raises(OSError, match="disk of the database"):
        upload.keep()
    assert files(binaries) == []


def test_leftovers_are_removed_at_the_start(binaries: Binaries) -> None:
    """What an earlier life was receiving is gone after `open`; what is complete stays."""
    binary = keep(binaries, SCRIPT)
    cut = binaries.receive()
    cut.write(SCRIPT)
    binaries.open()
    assert files(binaries) == [binaries.kept / binary.id]
    cut.discard()


def test_a_binary_without_a_record_is_removed_at_the_start(binaries: Binaries) -> None:
    """A kill between file and record left it; where the records are lost, all files stay."""
    binary = keep(binaries, SCRIPT)
    stray = binaries.kept / "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
    stray.write_bytes(SCRIPT)
    binaries.open(keep_unknown=True)
    assert stray in files(binaries)
    binaries.open()
    assert files(binaries) == [binaries.kept / binary.id]


def test_nobody_else_gets_to_the_files(binaries: Binaries) -> None:
    """The directories are the agent's own."""
    for directory in (binaries.incoming, binaries.kept):
        assert directory.stat().st_mode & 0o777 == 0o700


def test_a_staged_binary_is_what_was_uploaded(binaries: Binaries, tmp_path: Path) -> None:
    """Staging gives the run the same bytes at a place of its own."""
    binary = keep(binaries, SCRIPT)
    target = tmp_path / "program"
    binaries.stage(binary, target)
    assert target.read_bytes() == SCRIPT
    target.unlink()
    assert (binaries.kept / binary.id).exists()


@pytest.mark.parametrize("content", [SCRIPT + b"#", SCRIPT[:-1], b""])
def test_a_binary_that_changed_is_not_run(
    binaries: Binaries, tmp_path: Path, content: bytes
) -> None:
    """A byte more or less since the upload, and nothing is staged."""
    binary = keep(binaries, SCRIPT)
    kept = binaries.kept / binary.id
    kept.unlink()
    kept.write_bytes(content)
    with pytest.raises(BinaryChanged, match=f"binary {binary.id} has changed"):
        binaries.stage(binary, tmp_path / "program")
    assert not (tmp_path / "program").exists()


def test_a_binary_that_is_gone_is_not_run(binaries: Binaries, tmp_path: Path) -> None:
    """A record without its file says so."""
    binary = keep(binaries, SCRIPT)
    (binaries.kept / binary.id).unlink()
    with pytest.raises(BinaryChanged, match=f"binary {binary.id} is gone"):
        binaries.stage(binary, tmp_path / "program")


def test_staging_overwrites_nothing(binaries: Binaries, tmp_path: Path) -> None:
    """A file in the way is an error and stays."""
    binary = keep(binaries, SCRIPT)
    target = tmp_path / "program"
    target.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        binaries.stage(binary, target)
    assert target.read_bytes() == b"mine"


def test_r8_an_upload_below_the_floor(tmp_path: Path) -> None:
    """It is refused as by a full disk, before a byte is written."""
    store = Store(tmp_path / "agent.sqlite")
    short = Binaries(tmp_path, store, lambda: NOW, lambda: "Too little is free.")
    short.open()
    with pytest.raises(OSError, match="Too little is free") as refused:
        short.receive()
    assert refused.value.errno == errno.ENOSPC
    assert files(short) == []
    store.close()
