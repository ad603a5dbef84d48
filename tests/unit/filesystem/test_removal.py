"""Removal of trees of any shape, without recursion and without following links."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.filesystem import removal
from goloagent.filesystem.removal import remove

# Deeper than Python's stack, and with a path longer than the kernel takes (4,096 bytes).
DEPTH = 5000


def dig(directory: Path, depth: int, name: str = "d") -> None:
    """Make nested directories."""
    directory.mkdir()
    place = os.open(directory, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=place)
        deeper = os.open(name, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = deeper
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=place))
    os.close(place)


def test_a_tree_deeper_than_stack_and_path(tmp_path: Path) -> None:
    """Depth costs neither stack nor descriptors."""
    dig(tmp_path / "tree", DEPTH)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 8, before[1]))
    try:
        remove(tmp_path / "tree")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_deep_tree_of_the_longest_names(tmp_path: Path) -> None:
    """Names have 255 bytes, also ones that are not UTF-8."""
    name = os.fsdecode(b"\xff" * 255)
    dig(tmp_path / "tree", 50, name)
    remove(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []


def test_a_wide_tree(tmp_path: Path) -> None:
    """Many files, and directories with files, are removed."""
    for number in range(300):
        (tmp_path / "tree" / f"d{number}" / "e").mkdir(parents=True)
        (tmp_path / "tree" / f"d{number}" / "e" / "f").write_text("")
        (tmp_path / "tree" / f"f{number}").write_text("")
    remove(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    """The target of a link stays, whether the link is the tree or in it."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("mine")
    (tmp_path / "tree" / "in").mkdir(parents=True)
    for place in ("link", "tree/link", "tree/in/link"):
        (tmp_path / place).symlink_to(kept)
    remove(tmp_path / "link")
    remove(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == [kept]
    assert (kept / "file").read_text() == "mine"


def test_other_than_directories(tmp_path: Path) -> None:
    """A file and a FIFO are removed; a missing path is no error."""
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "fifo")
    for name in ("file", "fifo", "nothing", "no/such/place"):
        remove(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_directories_of_mode_000(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modes do not prevent the removal by an owner who is not root."""
    tmp_path.chmod(0o777)
    monkeypatch.chdir(tmp_path)  # because the user cannot enter pytest's directories
    with nobody():
        for place in ("tree/a/b/c", "tree/x/y", "tree/readonly/z"):
            Path(place).mkdir(parents=True)
            (Path(place) / "file").write_text("")
        for shut in ("tree/a/b/c", "tree/a/b", "tree/a", "tree/x/y", "tree/x"):
            Path(shut).chmod(0)
        Path("tree/readonly").chmod(0o500)
        Path("tree").chmod(0o400)
        remove(Path("tree"))
    assert list(tmp_path.iterdir()) == []


@contextmanager
def nobody() -> Iterator[None]:
    """Run as the user `nobody`."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_file_that_cannot_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first error is raised, and everything else is removed."""
    for name in ("a", "b", "c"):
        (tmp_path / "tree" / "d" / name).mkdir(parents=True)
        (tmp_path / "tree" / "d" / name / "file").write_text("")
    (tmp_path / "tree" / "d" / "b" / "immutable").write_text("")
    unlink = os.unlink

    def refuse(path: str, *, dir_fd: int) -> None:
        if path == "immutable":
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(removal.os, "unlink", refuse)
    with pytest.raises(PermissionError, match="immutable"):
        remove(tmp_path / "tree")
    left = [path.name for path in (tmp_path / "tree").rglob("*") if path.is_file()]
    assert left == ["immutable"]


def test_it_can_be_stopped_between_two_steps(tmp_path: Path) -> None:
    """The rest stays for a later removal."""
    dig(tmp_path / "tree", 100)
    steps = iter([False] * 50)
    remove(tmp_path / "tree", lambda: next(steps, True))
    assert (tmp_path / "tree").is_dir()
    remove(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []


NAMES = (
    st.binary(min_size=1, max_size=20)
    .filter(lambda name: not {0, 47} & {*name} and name not in (b".", b".."))
    .map(os.fsdecode)
)
TREES = st.recursive(
    st.sampled_from(["file", "link", "fifo"]),
    lambda inner: st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


def grow(path: Path, tree: object) -> None:
    """Make a tree of files, links, FIFOs and directories of any mode."""
    if isinstance(tree, dict):
        path.mkdir()
        for name, inner in tree.items():
            grow(path / name, inner)
        path.chmod(len(tree) * 0o111)
    elif tree == "link":
        path.symlink_to("../..")
    elif tree == "fifo":
        os.mkfifo(path)
    else:
        path.touch(0)


@given(tree=TREES)
def test_any_tree(tmp_path_factory: pytest.TempPathFactory, tree: object) -> None:
    """Any tree is removed, and nothing else."""
    place = tmp_path_factory.mktemp("any")
    (place / "beside").write_text("")
    grow(place / "tree", tree)
    remove(place / "tree")
    assert [path.name for path in place.iterdir()] == ["beside"]
