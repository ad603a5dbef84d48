"""A cgroup's files: where they are, and what is written to them, in directories that model them."""

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
def test_own(memberships: str, root: str, point: str, kind: str, expected: str | None) -> None:
    """Version 2 is found beside version 1 and wherever it is mounted, also in part."""
    mounts = ELSEWHERE + MOUNT.format(root=root, point=point, kind=kind)
    assert cgroup.find_cgroup(memberships, mounts) == (None if expected is None else Path(expected))


def test_mounts_of_any_name_are_passed_over(tmp_path: Path) -> None:
    """The names of other mounts may have any byte, and what Python takes for space or a line."""
    names = (b"/mnt/\xff", "/mnt/a\x85b\u2028c\xa0d".encode())
    mounts = [ELSEWHERE.encode().replace(b" /sys ", b" " + name + b" ") for name in names]
    mounts.append(MOUNT.format(root="/", point="/cg", kind="cgroup2").encode())
    (tmp_path / "mountinfo").write_bytes(b"".join(mounts))
    (tmp_path / "cgroup").write_text(UNIFIED)
    limited = Path("/cg/system.slice/golo-agent.service")
    assert [*cgroup.with_pids(tmp_path)] == [limited, limited.parent, Path("/cg")]
    assert cgroup.find_cgroup(UNIFIED, os.fsdecode(b"".join(mounts))) == limited


def model(directory: Path, kill: bool = True, processes: str = "", populated: int = 0) -> Path:
    """Make a directory with a cgroup's files; those before Linux 5.14 had no way to kill."""
    directory.mkdir()
    (directory / "cgroup.procs").write_text(processes)
    (directory / "cgroup.events").write_text(f"populated {populated}\nfrozen 0\n")
    if kill:
        (directory / "cgroup.kill").touch()
    return directory


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Keep the numbers that SIGKILL is sent to."""
    sent: list[int] = []

    def kill(pid: int, number: int) -> None:
        assert number == signal.SIGKILL
        sent.append(pid)
        if pid == 404:
            raise ProcessLookupError

    monkeypatch.setattr(os, "kill", kill)
    return sent


@pytest.fixture
def _as_in_a_cgroup(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a directory be removed with its files, as a cgroup is."""
    monkeypatch.setattr(Path, "rmdir", shutil.rmtree)


def test_kill(tmp_path: Path, killed: list[int]) -> None:
    """One write kills all of it, and nobody is killed by number."""
    directory = model(tmp_path / "job", processes="17\n")
    cgroup.kill(directory)
    assert (directory / "cgroup.kill").read_bytes() == b"1"
    assert killed == []


def test_kill_before_linux_5_14(tmp_path: Path, killed: list[int]) -> None:
    """Each is killed, those in inner cgroups too; ended ones and those out of sight do no harm."""
    directory = model(tmp_path / "job", kill=False, processes="404\n0\n17\n")
    model(directory / "inner", kill=False, processes="18\n")
    cgroup.kill(directory)
    assert sorted(killed) == [17, 18, 404]
    assert not (directory / "cgroup.kill").exists()


def test_what_is_gone_needs_nothing(tmp_path: Path, killed: list[int]) -> None:
    """A cgroup that was never made, or is removed already, is ended and removed in silence."""
    cgroup.kill(tmp_path / "gone")
    cgroup.remove(tmp_path / "gone")
    assert killed == []
    assert [*tmp_path.iterdir()] == []


@pytest.mark.usefixtures("_as_in_a_cgroup")
def test_remove(tmp_path: Path, killed: list[int]) -> None:
    """An empty cgroup goes with those in it, and nothing is killed."""
    directory = model(tmp_path / "job")
    model(directory / "inner")
    cgroup.remove(directory)
    assert not directory.exists()
    assert killed == []


@pytest.mark.usefixtures("_as_in_a_cgroup")
def test_remove_one_that_is_not_empty(
    tmp_path: Path, killed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed until it is empty: a fork may have come between."""
    directory = model(tmp_path / "job", kill=False, processes="17\n", populated=1)

    def one_more_then_none(pid: int, number: int) -> None:
        killed.append(pid)
        more = len(killed) == 1
        (directory / "cgroup.procs").write_text("18\n" if more else "")
        (directory / "cgroup.events").write_text(f"populated {int(more)}\n")

    monkeypatch.setattr(os, "kill", one_more_then_none)
    monkeypatch.setattr(cgroup, "_AGAIN_MILLISECONDS", 0)
    cgroup.remove(directory)
    assert killed == [17, 18]
    assert not directory.exists()


def test_remove_one_that_stays(tmp_path: Path) -> None:
    """What the kernel does not let go in time is told."""
    directory = model(tmp_path / "job", populated=1)
    with pytest.raises(OSError, match="not empty"):
        cgroup.remove(directory, seconds=0)
    assert directory.exists()


@pytest.mark.usefixtures("_as_in_a_cgroup")
def test_leftovers(tmp_path: Path) -> None:
    """All of an earlier life are removed: none of another agent's, none that is no job's."""
    for name in ("golo-agent-1-2-a", "golo-agent-1-2-b", "golo-agent-1-23-a", "golo-agent.service"):
        model(tmp_path / name)
    containment = Cgroup(tmp_path, "1-2/")
    containment.clear("b")
    assert not (tmp_path / "golo-agent-1-2-b").exists()
    containment.clear("")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "golo-agent-1-23-a",
        "golo-agent.service",
    ]
