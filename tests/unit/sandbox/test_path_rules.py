"""What is left to a load test when paths are closed to it, given a tree, mounts and links."""

from __future__ import annotations

from pathlib import Path
from posixpath import dirname, join

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.sandbox.path_rules import allowed_paths, complement, mount_aliases, resolve_links

TREE = {
    "/": ["etc", "usr", "var", "run"],
    "/etc": ["golo-agent", "hosts"],
    "/etc/golo-agent": ["token", "cert.pem"],
    "/var": ["lib", "log", "tmp"],
    "/var/lib": ["golo-agent", "dpkg"],
    "/var/log": ["loadtest-agent", "syslog"],
}


def test_the_way_to_a_closed_path_is_not_granted() -> None:
    """All beside it is, at each level; files and directories are alike."""
    closed = {"/var/lib/golo-agent", "/var/log/loadtest-agent", "/etc/golo-agent/token"}
    assert sorted(complement(closed, TREE.__getitem__)) == [
        "/etc/golo-agent/cert.pem",
        "/etc/hosts",
        "/run",
        "/usr",
        "/var/lib/dpkg",
        "/var/log/syslog",
        "/var/tmp",
    ]


def test_closed_within_closed() -> None:
    """What is below a closed path is not looked at, and nothing of it is granted."""
    closed = {"/var/lib/golo-agent", "/var/lib/golo-agent/logs", "/var/lib/golo-agent/a/token"}
    granted = sorted(complement(closed, TREE.__getitem__))
    assert granted == ["/etc", "/run", "/usr", "/var/lib/dpkg", "/var/log", "/var/tmp"]


def test_the_root_is_closed() -> None:
    """Nothing is beside it."""
    assert list(complement({"/"}, TREE.__getitem__)) == []


def test_a_closed_path_that_is_not_there() -> None:
    """It is not granted when it comes, as nothing in its directory is that was not there."""
    granted = {*complement({"/var/lib/none/token"}, lambda path: TREE.get(path, []))}
    assert granted == {"/etc", "/run", "/usr", "/var/log", "/var/tmp"} | {
        "/var/lib/dpkg",
        "/var/lib/golo-agent",
    }


names = st.sampled_from(["a", "b", "aa", "a b"])
paths = st.lists(names, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


@given(there=st.sets(paths, max_size=30), closed=st.sets(paths, min_size=1, max_size=5))
def test_everything_but_the_closed(there: set[str], closed: set[str]) -> None:
    """In any tree: of a closed path and what is below or above it nothing is granted, else all."""
    tree: dict[str, set[str]] = {}
    for path in there | closed:
        while path != "/":
            tree.setdefault(dirname(path), set()).add(path.rpartition("/")[2])
            path = dirname(path)
    granted = {*complement(closed, lambda directory: tree.get(directory, set()))}

    def within(path: str, outer: str) -> bool:
        return Path(path).is_relative_to(outer)

    for path in (join(directory, name) for directory, entries in tree.items() for name in entries):
        is_granted = any(within(path, grant) for grant in granted)
        concerned = any(within(path, one) or within(one, path) for one in closed)
        assert is_granted != concerned, path


MOUNTS = r"""
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
23 22 0:20 / /proc rw - proc proc rw
24 22 8:2 / /data rw - ext4 /dev/sda2 rw
25 22 8:1 /srv/of\040state /var/lib/golo-agent rw - ext4 /dev/sda1 rw
26 22 8:2 /shared /srv/shared rw - ext4 /dev/sda2 rw
27 22 8:1 /srv/of\040state/work/x /mnt/x rw - ext4 /dev/sda1 rw
""".strip()


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        # A bind mount: what is mounted is at its own place, too.
        (
            "/var/lib/golo-agent/db",
            {"/srv/of state/db", "/var/lib/golo-agent/db"},
        ),
        # And a part of it is mounted at a third.
        ("/srv/of state", {"/srv/of state", "/var/lib/golo-agent", "/mnt/x"}),
        ("/data/shared/logs", {"/data/shared/logs", "/srv/shared/logs"}),
        ("/data", {"/data", "/srv/shared"}),
        ("/etc/token", {"/etc/token"}),
    ],
)
def test_mounts_show_a_path_elsewhere(path: str, shown: set[str]) -> None:
    """Each place where a mount of the same file system shows it is found."""
    assert {*mount_aliases(path, MOUNTS)} == shown


def test_a_mount_covers_what_was_mounted_there_before() -> None:
    """What is at a path is of the last mount at its point."""
    covered = MOUNTS + "\n28 24 8:3 / /data rw - ext4 /dev/sda3 rw"
    assert {*mount_aliases("/data/shared", covered)} == {"/data/shared"}


@pytest.mark.parametrize("end", "\r\f\v\x1c\x85\u2028")
def test_what_only_looks_like_the_end_of_a_line(end: str) -> None:
    """The kernel leaves it in the name of a mount's point as it is."""
    odd = MOUNTS + f"\n28 22 8:2 /shared /srv/a{end}b{end}c rw - ext4 /dev/sda2 rw\n"
    assert {*mount_aliases("/data/shared", odd)} == {
        "/data/shared",
        "/srv/shared",
        f"/srv/a{end}b{end}c",
    }


def test_links_are_closed_with_what_they_lead_to(tmp_path: Path) -> None:
    """A link, a link on the way and a link to a link: each is found where it lies."""
    (tmp_path / "disk" / "logs").mkdir(parents=True)
    (tmp_path / "mnt").symlink_to("disk")
    (tmp_path / "first").symlink_to(tmp_path / "second")
    (tmp_path / "second").symlink_to("mnt/logs")
    assert {*resolve_links(str(tmp_path / "first"))} == {
        str(tmp_path / name) for name in ("first", "second", "mnt", "disk/logs")
    }
    assert {*resolve_links(str(tmp_path / "disk" / "none"))} == {str(tmp_path / "disk" / "none")}


def test_what_is_granted_here(tmp_path: Path) -> None:
    """On a disk: neighbours of a closed directory, and no link, nor what cannot be listed."""
    for name in ("state", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("state")
    granted = {*allowed_paths([str(tmp_path / "state"), "/nonexistent/token"])}
    assert "/usr" in granted
    assert [path for path in granted if Path(path).is_relative_to(tmp_path)] == [
        str(tmp_path / "notes")
    ]
    assert all(not tmp_path.is_relative_to(path) for path in granted)
