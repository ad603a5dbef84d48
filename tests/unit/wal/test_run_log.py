"""The log of one run, in real directories."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from goloagent.wal.run_directory import ERR, LogPathError
from goloagent.wal.run_log import RunLogWriter, open_reader, open_sync, read_stderr_tail


def _tree(root: Path) -> dict[str, bytes | str | None]:
    """Return everything below a directory: the bytes of files, the targets of links."""
    return {
        str(path.relative_to(root)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in sorted(root.rglob("*"))
    }


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_each_stream_has_its_file(tmp_path: Path) -> None:
    """Each stream has a file in the run's directory, and a link from the name's."""
    log = RunLogWriter.create(tmp_path, "shop", "job-1")
    assert log.append_stdout(b"one\n") == 4
    assert log.append_stdout(b"two") == 3
    assert log.append_stderr(b"oops\n") == 5
    assert log.size == 7
    log.close()
    assert _tree(tmp_path) == {
        "shop": None,
        "shop/job-1": None,
        "shop/job-1/out.log": b"one\ntwo",
        "shop/job-1/err.log": b"oops\n",
        "shop/out.log": "job-1/out.log",
        "shop/err.log": "job-1/err.log",
    }


def test_a_log_is_for_its_owner_and_group(tmp_path: Path) -> None:
    """Other users cannot read a log."""
    before = os.umask(0)
    try:
        RunLogWriter.create(tmp_path, "shop", "job-1").close()
    finally:
        os.umask(before)
    modes = {
        path.name: path.stat().st_mode & 0o777
        for path in [tmp_path / "shop", *(tmp_path / "shop/job-1").iterdir()]
    }
    assert modes == {"shop": 0o750, "out.log": 0o640, "err.log": 0o640}


def test_two_runs_of_a_name(tmp_path: Path) -> None:
    """A second run has its own files and gets the links, also while the first writes."""
    first = RunLogWriter.create(tmp_path, "shop", "job-1")
    second = RunLogWriter.create(tmp_path, "shop", "job-2")
    first.append_stdout(b"first")
    second.append_stdout(b"second")
    first.close()
    second.close()
    assert (tmp_path / "shop/job-1/out.log").read_bytes() == b"first"
    assert (tmp_path / "shop/job-2/out.log").read_bytes() == b"second"
    assert (tmp_path / "shop/out.log").read_bytes() == b"second"


def test_logs_of_the_2018_agent_are_renamed(tmp_path: Path) -> None:
    """Files in the place of links are renamed with the job's id."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/out.log").write_bytes(b"of 2018")
    RunLogWriter.create(tmp_path, "shop", "job-1").close()
    assert (tmp_path / "shop/out.log.before-job-1").read_bytes() == b"of 2018"
    assert (tmp_path / "shop/out.log").is_symlink()


def test_logs_may_be_a_link_itself(tmp_path: Path) -> None:
    """The operator may replace the log directory by a link."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "logs").symlink_to("disk")
    RunLogWriter.create(tmp_path / "logs", "shop", "job-1").close()
    assert (tmp_path / "disk/shop/job-1/out.log").is_file()


def test_an_empty_log_of_the_run_is_replaced(tmp_path: Path) -> None:
    """A failed attempt to start the run may have left it; a log with content stays."""
    first = RunLogWriter.create(tmp_path, "shop", "job-1")
    first.append_stderr(b"the launcher's")
    first.close()
    (tmp_path / "shop" / ".out.log.job-1").symlink_to("left")
    again = RunLogWriter.create(tmp_path, "shop", "job-1")
    again.append_stdout(b"x")
    again.close()
    assert (tmp_path / "shop/out.log").read_bytes() == b"x"
    assert (tmp_path / "shop/err.log").read_bytes() == b""
    with pytest.raises(LogPathError):
        RunLogWriter.create(tmp_path, "shop", "job-1")


PLANTED: dict[str, Callable[[Path, Path], object]] = {
    "name is a link": lambda logs, outside: (logs / "shop").symlink_to(outside),
    "name is a file": lambda logs, outside: (logs / "shop").write_bytes(b""),
    "run is a link": lambda logs, outside: _in(logs / "shop", "job-1").symlink_to(outside),
    "run is a dangling link": lambda logs, outside: _in(logs / "shop", "job-1").symlink_to("x"),
    "run is a file": lambda logs, outside: _in(logs / "shop", "job-1").write_bytes(b""),
    "out.log is a link": lambda logs, outside: _in(logs / "shop/job-1", "out.log").symlink_to(
        outside / "file"
    ),
    "err.log is a link": lambda logs, outside: _in(logs / "shop/job-1", "err.log").symlink_to(
        outside / "new"
    ),
    "out.log is there": lambda logs, outside: _in(logs / "shop/job-1", "out.log").write_bytes(b"x"),
    "link is a directory": lambda logs, outside: _in(logs / "shop", "out.log").mkdir(),
    "link is a pipe": lambda logs, outside: os.mkfifo(_in(logs / "shop", "err.log")),
}


def _in(directory: Path, name: str) -> Path:
    directory.mkdir(parents=True)
    return directory / name


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_planted_files_are_refused(tmp_path: Path, plant: Callable[[Path, Path], object]) -> None:
    """A file in the place of a log is an error; nothing outside is written, nothing stays open."""
    logs, outside = _in(tmp_path / "logs", "x").parent, _in(tmp_path / "outside", "file")
    outside.write_bytes(b"precious")
    plant(logs, outside.parent)
    before = _descriptors()
    with pytest.raises(LogPathError):
        RunLogWriter.create(logs, "shop", "job-1")
    assert _tree(outside.parent) == {"file": b"precious"}
    assert _descriptors() == before


def test_a_planted_newest_link_is_replaced_not_followed(tmp_path: Path) -> None:
    """The link to the newest run is replaced, and its target is unchanged."""
    outside = tmp_path / "precious"
    outside.write_bytes(b"precious")
    logs = tmp_path / "logs"
    _in(logs / "shop", "out.log").symlink_to(outside)
    log = RunLogWriter.create(logs, "shop", "job-1")
    log.append_stdout(b"mine")
    log.close()
    assert outside.read_bytes() == b"precious"
    assert (logs / "shop/out.log").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc", "a\0b"])
def test_names_are_single_components(tmp_path: Path, name: str) -> None:
    """Neither a name nor a job id leads out of its directory."""
    for path in [(name, "job-1"), ("shop", name)]:
        with pytest.raises(LogPathError):
            RunLogWriter.create(tmp_path, *path)
        with pytest.raises((LogPathError, FileNotFoundError)):
            open_reader(tmp_path, *path)


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All bytes are written in order if each write takes three."""
    log = RunLogWriter.create(tmp_path, "shop", "job-1")
    write, pwrite = os.write, os.pwrite
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:3], at))
    log.append_stdout(b"0123456789")
    log.append_stderr(b"abcdefgh")
    monkeypatch.undo()
    log.close()
    assert log.size == 10
    assert (tmp_path / "shop/out.log").read_bytes() == b"0123456789"
    assert (tmp_path / "shop/err.log").read_bytes() == b"abcdefgh"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """The system's error is raised, and the size counts the written bytes."""
    log = RunLogWriter.create(tmp_path, "shop", "job-1")
    log.append_stdout(b"ab\n")
    write, calls = os.pwrite, [2, 1]

    def failing(fd: int, data: bytes, offset: int) -> int:
        if not calls:
            raise OSError(code, os.strerror(code))
        return write(fd, data[: calls.pop()], offset)

    monkeypatch.setattr(os, "pwrite", failing)
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        log.append_stdout(b"0123456789")
    monkeypatch.undo()
    assert caught.value.errno == code
    assert log.size == 6
    assert (tmp_path / "shop/out.log").read_bytes() == b"ab\n012"
    log.close()


@pytest.mark.parametrize("left", [0, 3, 5, 7])
def test_output_after_a_cut_has_its_place(tmp_path: Path, left: int) -> None:
    """After a cut the output continues at its offset, on a new line."""
    log = RunLogWriter.create(tmp_path, "shop", "job-1")
    reported: list[int] = []
    log.shrunk = reported.append
    log.append_stdout(b"one\ntwo\n")
    path = tmp_path / "shop/job-1/out.log"
    os.truncate(path, left)
    log.append_stdout(b"three\n")
    log.append_stdout(b"four\n")
    log.close()
    written = path.read_bytes()
    assert reported == [left]
    assert log.intact_from == 8
    assert written[:left] == b"one\ntwo\n"[:left]
    assert written[left:7] == bytes(7 - left)
    assert written[7:] == b"\nthree\nfour\n"


def test_data_appended_by_another_program_moves_no_line(tmp_path: Path) -> None:
    """Each line of the run is whole at its offset."""
    log = RunLogWriter.create(tmp_path, "shop", "job-1")
    log.append_stdout(b"one\n")
    with (tmp_path / "shop/job-1/out.log").open("ab") as other:
        other.write(b"noise")
    log.append_stdout(b"two\n")
    log.append_stdout(b"three\n")
    log.close()
    assert (tmp_path / "shop/out.log").read_bytes() == b"one\ntwo\nthree\n"


def test_output_after_a_rewrite_begins_a_line(tmp_path: Path) -> None:
    """In a log that another program rewrote, the next output does not continue its line."""
    log = RunLogWriter.create(tmp_path, "shop", "job-1")
    log.append_stdout(b"one\n")
    (tmp_path / "shop/job-1/out.log").write_bytes(b"other data")
    log.append_stdout(b"two\n")
    log.close()
    assert (tmp_path / "shop/out.log").read_bytes() == b"oth\ntwo\nta"


def test_changes_by_another_program_are_detected(tmp_path: Path) -> None:
    """Overwritten bytes are detected by the time of change alone."""
    log = RunLogWriter.create(tmp_path, "shop", "job-1")
    log.append_stdout(b"one\n")
    log.append_stdout(b"two\n")
    assert log.intact_from == 0
    path = tmp_path / "shop/job-1/out.log"
    with path.open("r+b") as other:
        other.write(b"ONE")
    os.utime(path, ns=(1, 1))
    reader = open_reader(tmp_path, "shop", "job-1")
    assert reader.version() != log.version
    log.append_stdout(b"three\n")
    assert log.intact_from == 8
    assert reader.version() == log.version
    reader.close()
    log.close()


def test_a_failed_sync_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is raised, and not retried."""
    log = RunLogWriter.create(tmp_path, "shop", "job-1")
    sync = open_sync(tmp_path, "shop", "job-1")
    sync.sync()
    calls = []

    def failing(fd: int) -> None:
        calls.append(fd)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output"):
        sync.sync()
    assert len(calls) == 1
    log.close()
    sync.close()


def test_closing_twice_closes_once(tmp_path: Path) -> None:
    """A second close does not close reused descriptors."""
    before = _descriptors()
    log = RunLogWriter.create(tmp_path, "shop", "job-1")
    reader = open_reader(tmp_path, "shop", "job-1")
    log.close()
    reader.close()
    others = os.pipe2(os.O_CLOEXEC) + os.pipe2(os.O_CLOEXEC)
    log.close()
    reader.close()
    for descriptor in others:
        os.close(descriptor)
    assert _descriptors() == before


@pytest.mark.parametrize(
    ("stderr", "tail"),
    [
        (b"", ""),
        (b"one\ntwo\n", "one\ntwo"),
        (b"one\ntwo", "one\ntwo"),
        (b"1\n2\n3\n4\n", "2\n3\n4"),
        (b"x" * 50 + b"end\n", "x" * 16 + "end"),
        (b"bad \xff\n", "bad \ufffd"),
        (b"a\x0bb\r\n", "a\x0bb\r"),
    ],
)
def test_the_tail_of_a_log(tmp_path: Path, stderr: bytes, tail: str) -> None:
    """It is the last lines, bounded in size, as text."""
    log = RunLogWriter.create(tmp_path, "shop", "job-1")
    log.append_stderr(stderr)
    reader = open_reader(tmp_path, "shop", "job-1", ERR)
    assert reader.tail(lines=3, max_bytes=20) == tail
    reader.close()
    log.close()


def test_the_tail_of_stderr(tmp_path: Path) -> None:
    """It has 20 lines and 8 KiB, equal during and after the run."""
    log = RunLogWriter.create(tmp_path, "shop", "job-1")
    log.append_stdout(b"not this\n")
    for number in range(30):
        log.append_stderr(b"line %d\n" % number)
    tail = "\n".join(f"line {number}" for number in range(10, 30))
    assert log.stderr_tail() == tail
    log.append_stderr(b"x" * 9000)
    assert log.stderr_tail() == "x" * 8192
    log.close()
    before = _descriptors()
    assert read_stderr_tail(tmp_path, "shop", "job-1") == "x" * 8192
    assert _descriptors() == before
    with pytest.raises(FileNotFoundError):
        read_stderr_tail(tmp_path, "shop", "job-2")


def test_a_reader_sees_the_log_grow(tmp_path: Path) -> None:
    """Written bytes can be read at once at any offset."""
    log = RunLogWriter.create(tmp_path, "shop", "job-1")
    reader = open_reader(tmp_path, "shop", "job-1")
    assert (reader.size(), reader.read(0, 10)) == (0, b"")
    log.append_stdout(b"0123456789")
    assert (reader.size(), reader.read(0, 4), reader.read(8, 4)) == (10, b"0123", b"89")
    log.append_stderr(b"oops")
    errors = open_reader(tmp_path, "shop", "job-1", ERR)
    assert errors.read(0, 10) == b"oops"
    for opened in (log, reader, errors):
        opened.close()


def test_a_missing_log(tmp_path: Path) -> None:
    """A lookup creates neither a name nor a run nor a file."""
    for path in [("shop", "job-1"), ("shop", "job-2")]:
        with pytest.raises(FileNotFoundError):
            open_reader(tmp_path, *path)
        assert not (tmp_path / path[0] / path[1]).exists()
        (tmp_path / "shop").mkdir(exist_ok=True)


def test_a_reader_follows_no_link_and_waits_for_no_pipe(tmp_path: Path) -> None:
    """Other files are refused at once, and nothing stays open."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"token")
    run = _in(tmp_path / "shop/job-1", "x").parent
    (run / "out.log").symlink_to(secret)
    os.mkfifo(run / "err.log")
    (tmp_path / "linked").symlink_to("shop")
    before = _descriptors()
    for path in [("shop", "job-1"), ("shop", "job-1", ERR), ("linked", "job-1", ERR)]:
        with pytest.raises(LogPathError):
            open_reader(tmp_path, *path)
    assert _descriptors() == before
