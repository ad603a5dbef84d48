"""Leftovers of earlier runs are renamed at once, and removed later."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred, succeed

from goloagent.wal import leftovers
from goloagent.wal.leftovers import Remover, set_aside


def test_only_directories_of_runs_are_set_aside(tmp_path: Path) -> None:
    """Other files stay, of any name and kind."""
    others = ["lost+found", "binaries", f"{uuid4()}.sav", os.fsdecode(b"\xff\xfe"), "fifo", "link"]
    for name in others[:-2]:
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("nowhere")
    run = tmp_path / str(uuid4())
    run.mkdir()
    (run / "file").write_text("")
    [found] = set_aside(tmp_path)
    assert (found / "file").exists()
    assert sorted(os.listdir(tmp_path)) == sorted([*others, found.name])  # noqa: PTH208
    assert set_aside(tmp_path) == [found], "a start that was interrupted found it again"


def test_a_new_run_may_have_the_same_id(tmp_path: Path) -> None:
    """The removal never touches the directory of a new run."""
    run = tmp_path / str(uuid4())
    run.mkdir()
    [found] = set_aside(tmp_path)
    run.mkdir()
    assert ensureDeferred(Remover(maybeDeferred).remove([found])).called
    assert run.is_dir()
    assert not found.exists()


def test_a_failed_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount point or an immutable directory stays, and all others are found."""
    stuck, run = tmp_path / str(uuid4()), tmp_path / str(uuid4())
    stuck.mkdir()
    run.mkdir()
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path == stuck:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    [found] = set_aside(tmp_path)
    assert stuck.is_dir()
    assert not run.exists()
    assert found.is_dir()


def test_a_failed_removal_is_followed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that cannot be removed does not prevent the others' removal."""
    monkeypatch.setattr(leftovers, "remove", lambda path, _: removed.append(path) or fail())
    removed: list[Path] = []

    def fail() -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    paths = [tmp_path / "a", tmp_path / "b"]
    assert ensureDeferred(Remover(maybeDeferred).remove(paths)).called
    assert removed == paths


def test_a_stop_ends_it(tmp_path: Path) -> None:
    """The present removal ends, and no further one begins."""
    begun = []

    def in_thread(_: Any, path: Path, stopped: Any) -> Deferred[None]:
        begun.append(path)
        remover.stop()
        assert stopped()
        return succeed(None)

    remover = Remover(in_thread)
    assert ensureDeferred(remover.remove([tmp_path / "a", tmp_path / "b"])).called
    assert begun == [tmp_path / "a"]
