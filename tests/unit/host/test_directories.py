"""The directories of an agent: apart from each other, its own, and writable."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from goloagent.host import directories
from goloagent.host.directories import check_apart, lock_logs, lock_state, make_writable
from goloagent.host.startup_error import StartupError

OWN = frozenset({"work", "binaries", "database.sqlite"})

# Where the logs are, and what is wrong with it; S is the state directory.
PLACES = {
    "S": "are the same directory",
    "S/": "are the same directory",
    "S/../S": "are the same directory",
    "S/work": "S/work, which the agent uses",
    "S/work/deeper/still": "S/work, which the agent uses",
    "S/binaries": "S/binaries, which the agent uses",
    "S/not-made-yet/../work": "S/work, which the agent uses",
    "S/database.sqlite": "S/database.sqlite, which the agent uses",
    ".": "is inside --logs",
    "link-to-S": "are the same directory",
    "link-to-work": "S/work, which the agent uses",
    "link-to-S/work/below": "S/work, which the agent uses",
    "link-above/S": "are the same directory",
    "S/logs": None,
    "S/logs/deeper": None,
    "S/workshop": None,
    "S.logs": None,
    "beside": None,
    "link-to-S/logs": None,
    "link-to-beside": None,
}


@pytest.mark.parametrize(("place", "fault"), PLACES.items())
def test_logs_and_state_do_not_meet(tmp_path: Path, place: str, fault: str | None) -> None:
    """However they are reached; a directory of the logs' own inside the state is none of its."""
    state = tmp_path / "S"
    (state / "work").mkdir(parents=True)
    (state / "binaries").mkdir()
    (tmp_path / "beside").mkdir()
    for name, target in {"S": "S", "work": "S/work", "beside": "beside"}.items():
        (tmp_path / f"link-to-{name}").symlink_to(target)
    (tmp_path / "link-above").symlink_to(tmp_path)
    logs = Path(f"{tmp_path}/{place}")
    if fault is None:
        check_apart(state, logs, OWN)
    else:
        with pytest.raises(StartupError, match=fault) as refused:
            check_apart(state, logs, OWN)
        assert "choose another by --" in str(refused.value)


def test_the_state_may_be_a_link(tmp_path: Path) -> None:
    """Real places are compared."""
    (tmp_path / "real").mkdir()
    (tmp_path / "S").symlink_to("real")
    with pytest.raises(StartupError, match="are the same"):
        check_apart(tmp_path / "S", tmp_path / "real", OWN)


def test_a_folder_of_the_state_may_be_a_link(tmp_path: Path) -> None:
    """Links are followed to the directories of the agent."""
    (tmp_path / "S").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "S" / "work").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StartupError, match="S/work"):
        check_apart(tmp_path / "S", tmp_path / "elsewhere" / "logs", OWN)


@pytest.mark.parametrize("lock", [lock_state, lock_logs])
def test_one_agent_has_a_directory(tmp_path: Path, lock: Callable[[Path], int]) -> None:
    """The error names the option; after the first agent the lock is free."""
    first = lock(tmp_path)
    with pytest.raises(StartupError, match="another agent is using it; stop it or choose another"):
        lock(tmp_path)
    os.close(first)
    os.close(lock(tmp_path))


@pytest.mark.parametrize("odd", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("nowhere")])
def test_a_lock_that_is_no_file(tmp_path: Path, odd: Callable[[Path], object]) -> None:
    """It ends the start, and does not hang it."""
    odd(tmp_path / "lock")
    with pytest.raises(StartupError, match=r"lock: it is not a regular file; move it away"):
        lock_state(tmp_path)


def test_what_is_no_directory(tmp_path: Path) -> None:
    """It is said so, with the option."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StartupError, match=r"--logs .*/file: it is not a directory; move it away"):
        make_writable("--logs", tmp_path / "file", 0o750)
    with pytest.raises(StartupError, match=r"--state .*/file: it is not a directory; move it away"):
        lock_state(tmp_path / "file")


def test_permission_denied_says_for_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container, where a volume that was just made belongs to root."""

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(directories.tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr("os.geteuid", lambda: 10081)
    with pytest.raises(StartupError) as refused:
        make_writable("--logs", tmp_path, 0o750)
    assert str(refused.value) == (
        f"--logs {tmp_path}: Permission denied for uid 10081; give it to that user"
        f" (chown 10081 {tmp_path}) or choose another by --logs"
    )


def test_logs_that_cannot_be_locked_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over NFS, which locks only what is open for writing."""

    def refuse(*_: object) -> None:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(directories.fcntl, "flock", refuse)
    descriptor = lock_logs(tmp_path)
    with suppress(OSError):
        os.close(descriptor)
