"""The limit on a load test's tasks."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from goloagent.sandbox import cgroup, task_limit
from goloagent.sandbox.task_limit import reserved

MOUNTS = """\
30 1 0:1 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
31 1 0:2 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
32 1 0:3 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
"""


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(60, 30), (128, 64), (640, 64), (4915, 491), (32768, 3276), (11_112, 1111)],
)
def test_reserved(limit: int, expected: int) -> None:
    """The reserve is a tenth; 10,000 threads fit in the usual limits."""
    assert reserved(limit) == expected


def proc_of(root: Path, memberships: str, **limits: str) -> Path:
    """Make a /proc with limits of the system and mounts of cgroups."""
    (root / "sys/kernel").mkdir(parents=True)
    (root / "self").mkdir()
    (root / "self/cgroup").write_text(memberships)
    (root / "self/mountinfo").write_text(MOUNTS.replace("/sys/fs", f"{root}/fs"))
    for name, limit in limits.items():
        (root / "sys/kernel" / name.replace("threads_max", "threads-max")).write_text(limit)
    return root


@pytest.mark.parametrize(
    ("memberships", "path"),
    [
        ("0::/a/b\n", "unified/a"),
        ("8:pids:/a/b\n4:memory:/x\n0::/\n", "pids/a/b"),
        ("8:pids:/a/b\n0::/\n", "pids"),
    ],
)
def test_limits_of_cgroups(tmp_path: Path, memberships: str, path: str) -> None:
    """The limits of the own cgroup and its parents count, in either version."""
    proc = proc_of(tmp_path, memberships, threads_max="100000", pid_max="32768")
    directory = tmp_path / "fs/cgroup" / path
    directory.mkdir(parents=True)
    (directory / "pids.max").write_text("200\n")
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    found = sorted(task_limit._limits(proc))
    assert {200, 32768, 100000} <= set(found)
    assert set(found) <= {200, 32768, 100000, soft}


def test_a_cgroup_without_a_limit(tmp_path: Path) -> None:
    """Neither ``max`` nor a missing file is a limit."""
    proc = proc_of(tmp_path, "0::/a\n", threads_max="5000", pid_max="4000")
    directory = tmp_path / "fs/cgroup/unified/a"
    directory.mkdir(parents=True)
    (directory / "pids.max").write_text("max\n")
    assert min(task_limit._limits(proc)) <= 4000


def test_limit_tasks(tmp_path: Path) -> None:
    """The parent delegates the controller first; without one there is no limit."""
    job = tmp_path / "job"
    job.mkdir()
    cgroup.limit_tasks(job, 100)
    assert list(job.iterdir()) == []
    (tmp_path / "cgroup.subtree_control").touch()
    (job / "pids.max").touch()
    cgroup.limit_tasks(job, 100)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+pids"
    assert (job / "pids.max").read_text() == "100"
