"""Cgroups: where they are found, and what is written to their files, in directories."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from goloagent.sandbox import cgroup
from goloagent.sandbox.isolation import Cgroup

UNIFIED = "0::/system.slice/golo-agent.service\n"
HYBRID = "9:name=systemd:/x\n4:memory:/a:b\n" + UNIFIED
MOUNT = "25 30 0:22 {root} {point} rw,relatime shared:9 - {kind} cgroup rw\n"
ELSEWHERE = MOUNT.format(root="/", point="/sys", kind="sysfs")


@pytest.mark.parametrize(
    ("memberships", "root", "point", "kind", "expected"),
    [
        (UNIFIED, "/", "/cg", "cgroup2", "/cg/system.slice/golo-agent.service"),
        (HYBRID, "/", "/cg/unified", "cgroup2", "/cg/unified/system.slice/golo-agent.service"),
        (UNIFIED, "/system.slice", "/cg", "cgroup2", "/cg/golo-agent.service"),
        (UNIFIED, "/system.slice/golo-agent.service", "/cg", "cgroup2", "/cg"),
        ("0::/\n", "/", "/cg", "cgroup2", "/cg"),
        (UNIFIED, "/docker/4711", "/cg", "cgroup2", None),
        ("0::/../other\n", "/", "/cg", "cgroup2", None),
        (UNIFIED, "/", "/cg", "cgroup", None),
        ("9:name=systemd:/x\n", "/", "/cg", "cgroup2", None),
        ("", "/", "/cg", "cgroup2", None),
    ],
)
def test_find_cgroup(
    memberships: str, root: str, point: str, kind: str, expected: str | None
) -> None:
    """Version 2 is found next to version 1, and wherever it is mounted, also in part."""
    mounts = ELSEWHERE + MOUNT.format(root=root, point=point, kind=kind)
    assert cgroup.find_cgroup(memberships, mounts) == (None if expected is None else Path(expected))


def test_mounts_of_any_name_are_skipped(tmp_path: Path) -> None:
    """The names of other mounts may have any byte, and what Python splits at."""
    names = (b"/mnt/\xff", "/mnt/a\x85b\u2028c\xa0d".encode())
    mounts = [ELSEWHERE.encode().replace(b" /sys ", b" " + name + b" ") for name in names]
    mounts.append(MOUNT.format(root="/", point="/cg", kind="cgroup2").encode())
    (tmp_path / "mountinfo").write_bytes(b"".join(mounts))
    (tmp_path / "cgroup").write_text(UNIFIED)
    limited = Path("/cg/system.slice/golo-agent.service")
    assert [*cgroup.limiting_cgroups(tmp_path)] == [limited, limited.parent, Path("/cg")]
    assert cgroup.find_cgroup(UNIFIED, os.fsdecode(b"".join(mounts))) == limited


def model(directory: Path, kill: bool = True, processes: str = "", populated: int = 0) -> Path:
    """Make a directory with a cgroup's files; before Linux 5.14 there was no `cgroup.kill`."""
    directory.mkdir()
    (directory / "cgroup.procs").write_text(processes)
    (directory / "cgroup.events").write_text(f"populated {populated}\nfrozen 0\n")
    if kill:
        (directory / "cgroup.kill").touch()
    return directory


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the process IDs that SIGKILL is sent to."""
    sent: list[int] = []

    def kill(pid: int, number: int) -> None:
        assert number == signal.SIGKILL
        sent.append(pid)
        if pid == 404:
            raise ProcessLookupError

    monkeypatch.setattr(os, "kill", kill)
    return sent


@pytest.fixture
def _removable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove a directory with its files, as the kernel removes a cgroup."""
    monkeypatch.setattr(Path, "rmdir", shutil.rmtree)


def test_kill(tmp_path: Path, killed: list[int]) -> None:
    """One write kills all processes, and none by its ID."""
    directory = model(tmp_path / "job", processes="17\n")
    cgroup.kill(directory)
    assert (directory / "cgroup.kill").read_bytes() == b"1"
    assert killed == []


def test_kill_before_linux_5_14(tmp_path: Path, killed: list[int]) -> None:
    """Each process is killed, also in inner cgroups; one that ended or is invisible is skipped."""
    directory = model(tmp_path / "job", kill=False, processes="404\n0\n17\n")
    model(directory / "inner", kill=False, processes="18\n")
    cgroup.kill(directory)
    assert sorted(killed) == [17, 18, 404]
    assert not (directory / "cgroup.kill").exists()


def test_a_missing_cgroup_is_no_error(tmp_path: Path, killed: list[int]) -> None:
    """Killing and removing are idempotent."""
    cgroup.kill(tmp_path / "gone")
    cgroup.remove(tmp_path / "gone")
    assert killed == []
    assert [*tmp_path.iterdir()] == []


@pytest.mark.usefixtures("_removable")
def test_remove(tmp_path: Path, killed: list[int]) -> None:
    """An empty cgroup is removed with its descendants, and nothing is killed."""
    directory = model(tmp_path / "job")
    model(directory / "inner")
    cgroup.remove(directory)
    assert not directory.exists()
    assert killed == []


@pytest.mark.usefixtures("_removable")
def test_remove_repeats_the_kill(
    tmp_path: Path, killed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It kills until the cgroup is empty, because a fork may have escaped."""
    directory = model(tmp_path / "job", kill=False, processes="17\n", populated=1)

    def one_more_then_none(pid: int, number: int) -> None:
        killed.append(pid)
        more = len(killed) == 1
        (directory / "cgroup.procs").write_text("18\n" if more else "")
        (directory / "cgroup.events").write_text(f"populated {int(more)}\n")

    monkeypatch.setattr(os, "kill", one_more_then_none)
    monkeypatch.setattr(cgroup, "_RETRY_MILLISECONDS", 0)
    cgroup.remove(directory)
    assert killed == [17, 18]
    assert not directory.exists()


def test_remove_fails_if_processes_are_left(tmp_path: Path) -> None:
    """Processes that are left in time are an error."""
    directory = model(tmp_path / "job", populated=1)
    with pytest.raises(OSError, match="not empty"):
        cgroup.remove(directory, seconds=0)
    assert directory.exists()


@pytest.mark.usefixtures("_removable")
def test_leftovers(tmp_path: Path) -> None:
    """All of a previous process are removed, and nothing of another agent or service."""
    for name in ("golo-agent-1-2-a", "golo-agent-1-2-b", "golo-agent-1-23-a", "golo-agent.service"):
        model(tmp_path / name)
    backend = Cgroup(tmp_path, "1-2/")
    backend.cleanup("b")
    assert not (tmp_path / "golo-agent-1-2-b").exists()
    backend.cleanup("")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "golo-agent-1-23-a",
        "golo-agent.service",
    ]
