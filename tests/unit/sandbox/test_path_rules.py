"""The paths that are allowed if others are protected, by a tree, mounts and links."""

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


def test_siblings_are_allowed() -> None:
    """All siblings of a protected path and of its parents are allowed, files and directories."""
    protected = {"/var/lib/golo-agent", "/var/log/loadtest-agent", "/etc/golo-agent/token"}
    assert sorted(complement(protected, TREE.__getitem__)) == [
        "/etc/golo-agent/cert.pem",
        "/etc/hosts",
        "/run",
        "/usr",
        "/var/lib/dpkg",
        "/var/log/syslog",
        "/var/tmp",
    ]


def test_protected_within_protected() -> None:
    """Nothing below a protected path is listed or allowed."""
    protected = {"/var/lib/golo-agent", "/var/lib/golo-agent/logs", "/var/lib/golo-agent/a/token"}
    allowed = sorted(complement(protected, TREE.__getitem__))
    assert allowed == ["/etc", "/run", "/usr", "/var/lib/dpkg", "/var/log", "/var/tmp"]


def test_the_root_is_protected() -> None:
    """Nothing is allowed."""
    assert list(complement({"/"}, TREE.__getitem__)) == []


def test_a_missing_protected_path() -> None:
    """It is not allowed when it is created, nor is anything else new in its directory."""
    allowed = {*complement({"/var/lib/none/token"}, lambda path: TREE.get(path, []))}
    assert allowed == {"/etc", "/run", "/usr", "/var/log", "/var/tmp"} | {
        "/var/lib/dpkg",
        "/var/lib/golo-agent",
    }


names = st.sampled_from(["a", "b", "aa", "a b"])
paths = st.lists(names, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


@given(there=st.sets(paths, max_size=30), protected=st.sets(paths, min_size=1, max_size=5))
def test_all_but_the_protected_paths(there: set[str], protected: set[str]) -> None:
    """In any tree, all paths that are neither above nor below a protected one are allowed."""
    tree: dict[str, set[str]] = {}
    for path in there | protected:
        while path != "/":
            tree.setdefault(dirname(path), set()).add(path.rpartition("/")[2])
            path = dirname(path)
    allowed = {*complement(protected, lambda directory: tree.get(directory, set()))}

    def within(path: str, outer: str) -> bool:
        return Path(path).is_relative_to(outer)

    for path in (join(directory, name) for directory, entries in tree.items() for name in entries):
        is_allowed = any(within(path, path_allowed) for path_allowed in allowed)
        is_protected = any(within(path, one) or within(one, path) for one in protected)
        assert is_allowed != is_protected, path


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
        # A bind mount: its source is an alias.
        (
            "/var/lib/golo-agent/db",
            {"/srv/of state/db", "/var/lib/golo-agent/db"},
        ),
        # A part of it is mounted at a third place.
        ("/srv/of state", {"/srv/of state", "/var/lib/golo-agent", "/mnt/x"}),
        ("/data/shared/logs", {"/data/shared/logs", "/srv/shared/logs"}),
        ("/data", {"/data", "/srv/shared"}),
        ("/etc/token", {"/etc/token"}),
    ],
)
def test_mount_aliases(path: str, shown: set[str]) -> None:
    """Each place at which a mount of the same file system shows a path is found."""
    assert {*mount_aliases(path, MOUNTS)} == shown


def test_a_mount_covers_an_earlier_one() -> None:
    """The last mount at a point counts."""
    covered = MOUNTS + "\n28 24 8:3 / /data rw - ext4 /dev/sda3 rw"
    assert {*mount_aliases("/data/shared", covered)} == {"/data/shared"}


@pytest.mark.parametrize("end", "\r\f\v\x1c\x85\u2028")
def test_other_line_separators(end: str) -> None:
    """The kernel does not escape them in the name of a mount point."""
    odd = MOUNTS + f"\n28 22 8:2 /shared /srv/a{end}b{end}c rw - ext4 /dev/sda2 rw\n"
    assert {*mount_aliases("/data/shared", odd)} == {
        "/data/shared",
        "/srv/shared",
        f"/srv/a{end}b{end}c",
    }


def test_links_are_protected_with_their_targets(tmp_path: Path) -> None:
    """A link, a link among its parents and a link to a link are all found."""
    (tmp_path / "disk" / "logs").mkdir(parents=True)
    (tmp_path / "mnt").symlink_to("disk")
    (tmp_path / "first").symlink_to(tmp_path / "second")
    (tmp_path / "second").symlink_to("mnt/logs")
    assert {*resolve_links(str(tmp_path / "first"))} == {
        str(tmp_path / name) for name in ("first", "second", "mnt", "disk/logs")
    }
    assert {*resolve_links(str(tmp_path / "disk" / "none"))} == {str(tmp_path / "disk" / "none")}


def test_allowed_paths_on_a_disk(tmp_path: Path) -> None:
    """Siblings of a protected directory are allowed, links are not."""
    for name in ("state", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("state")
    allowed = {*allowed_paths([str(tmp_path / "state"), "/nonexistent/token"])}
    assert "/usr" in allowed
    assert [path for path in allowed if Path(path).is_relative_to(tmp_path)] == [
        str(tmp_path / "notes")
    ]
    assert all(not tmp_path.is_relative_to(path) for path in allowed)
