"""The decision of a start about the database."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.host import database
from goloagent.host.database import Database, Found, Plan, open_database, plan
from goloagent.host.startup_error import StartupError
from goloagent.jobs.database import Binary, Store

ASIDE = Path("/state/aside")
NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)

PLANS = {
    Found(Database.WHOLE): Plan(False, None),
    Found(Database.WHOLE, restoring="lost"): Plan(False, "lost"),
    Found(Database.WHOLE, has_files=True): Plan(False, None),
    Found(Database.MISSING): Plan(False, None),
    Found(Database.MISSING, has_files=True): Plan(True, "the database was missing"),
    Found(Database.EMPTY): Plan(False, None),
    Found(Database.EMPTY, has_files=True): Plan(True, "the database was empty"),
    Found(Database.DAMAGED, "cut"): Plan(
        True, "the database was damaged (cut) and is kept as /state/aside"
    ),
}


@pytest.mark.parametrize(("found", "expected"), PLANS.items(), ids=map(str, range(len(PLANS))))
def test_the_plan(found: Found, expected: Plan) -> None:
    """A whole one is opened; what is lost is replaced, and reported if the disk holds anything."""
    assert plan(found, ASIDE) == expected


@given(
    found=st.builds(
        Found, st.sampled_from(Database), st.text(), st.booleans(), st.none() | st.text(min_size=1)
    )
)
def test_the_plan_for_whatever_is_found(found: Found) -> None:
    """A whole database is never replaced, and a replacement is always a notice."""
    decided = plan(found, ASIDE)
    assert not (decided.replace and found.condition is Database.WHOLE)
    assert decided.sentence or not decided.replace


def write(content: bytes) -> Callable[[Path], object]:
    """Return what makes a file of these bytes."""
    return lambda path: path.write_bytes(content)


def make_whole(path: Path) -> None:
    """Make a database with a binary."""
    store = Store(path)
    store.add_binary(Binary("id", "sha", 1, NOW))
    store.close()


def make_cut(path: Path) -> None:
    """Make a database and cut it in the middle."""
    make_whole(path)
    path.write_bytes(path.read_bytes()[:6000])


STANDS = {
    "nothing": lambda path: None,
    "an empty file": write(b""),
    "one byte": write(b"S"),
    "99 bytes": write(bytes(99)),
    "a header alone": write(b"SQLite format 3\0" + bytes(84)),
    "text": write(b"no database" * 1000),
    "zeros": write(bytes(20000)),
    "a cut database": make_cut,
    "a directory": lambda path: (path / "in").mkdir(parents=True),
    "a FIFO": os.mkfifo,
    "another application's database": lambda path: (
        sqlite3.connect(path)
        .executescript("CREATE TABLE jobs (x); CREATE TABLE other (y);")
        .close()
    ),
}


@pytest.mark.parametrize("has_files", [False, True])
@pytest.mark.parametrize("stands", STANDS.values(), ids=STANDS.keys())
def test_whatever_stands_there_is_kept_and_a_new_one_is_made(
    tmp_path: Path, stands: Callable[[Path], object], has_files: bool
) -> None:
    """The start goes on with a database that takes rows, and deletes nothing that stood there."""
    path = tmp_path / "db"
    stands(path)
    content = path.read_bytes() if path.is_file() else None
    store, sentence = open_database(path, tmp_path / "restoring", lambda: has_files, lambda: NOW)
    store.add_binary(Binary("id", "sha", 1, NOW))
    store.close()
    kept = [aside for aside in tmp_path.glob("db.damaged-*") if "-wal" not in aside.name]
    if content:
        [aside] = kept
        # To open a database that is one may write to it.
        assert aside.read_bytes() == content or content.startswith(b"SQLite")
    if content or has_files:
        assert sentence is not None
        assert (tmp_path / "restoring").read_text() == sentence


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
@pytest.mark.parametrize("odd", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("nowhere")])
def test_what_stands_in_the_place_of_sqlites_other_files(
    tmp_path: Path, suffix: str, odd: Callable[[Path], object]
) -> None:
    """It is moved aside, and the database is used."""
    path = tmp_path / "db"
    make_whole(path)
    odd(Path(f"{path}{suffix}"))
    store, sentence = open_database(path, tmp_path / "restoring", lambda: True, lambda: NOW)
    assert sentence is None
    assert store.binary("id") is not None
    store.close()


def test_a_log_without_its_database_is_kept(tmp_path: Path) -> None:
    """SQLite would remove it."""
    (tmp_path / "db-wal").write_bytes(b"rows" * 100)
    open_database(tmp_path / "db", tmp_path / "restoring", lambda: True, lambda: NOW)[0].close()
    [kept] = tmp_path.glob("db.damaged-*-wal")
    assert kept.read_bytes() == b"rows" * 100


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    """An operator may keep the database on another disk."""
    make_whole(tmp_path / "elsewhere")
    (tmp_path / "db").symlink_to("elsewhere")
    store, _ = open_database(tmp_path / "db", tmp_path / "restoring", lambda: True, lambda: NOW)
    assert store.binary("id") is not None
    store.close()


def test_a_link_to_nothing_ends_the_start(tmp_path: Path) -> None:
    """It may lead to a disk that is not mounted: another database must not take its place."""
    (tmp_path / "db").symlink_to("not-mounted/db")
    with pytest.raises(StartupError, match=r"--state: the database .*/db: No such file"):
        open_database(tmp_path / "db", tmp_path / "restoring", lambda: True, lambda: NOW)
    assert not (tmp_path / "not-mounted").exists()


def test_without_room_nothing_is_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk can look like damage."""
    (tmp_path / "db").write_bytes(b"no database" * 1000)

    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(database, "_try_to_write", full)
    with pytest.raises(StartupError, match="No space left"):
        open_database(tmp_path / "db", tmp_path / "restoring", lambda: True, lambda: NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["db"]


@pytest.mark.parametrize("odd", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("nowhere")])
def test_a_marker_that_is_no_file(tmp_path: Path, odd: Callable[[Path], object]) -> None:
    """It only keeps a sentence: without it the start goes on."""
    odd(tmp_path / "restoring")
    (tmp_path / "db").write_bytes(b"no database" * 1000)
    store, sentence = open_database(
        tmp_path / "db", tmp_path / "restoring", lambda: True, lambda: NOW
    )
    store.close()
    assert sentence is not None
