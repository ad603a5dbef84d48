"""The id of the agent, which is made once."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import UUID

import pytest

from goloagent.host.identity import NAME, read_identity


def test_it_is_made_once(tmp_path: Path) -> None:
    """Later starts have the same, also after a kill during the write; the boot is the host's."""
    first = read_identity(tmp_path)
    (tmp_path / f"{NAME}.new").write_text("half")
    assert read_identity(tmp_path) == first
    assert str(UUID(first.id)) == first.id
    assert first.boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"not an id", b"\xff" * 100])
def test_a_damaged_one_is_replaced(tmp_path: Path, content: bytes) -> None:
    """The next start has the new one."""
    (tmp_path / NAME).write_bytes(content)
    assert read_identity(tmp_path) == read_identity(tmp_path)


@pytest.mark.parametrize("kind", ["directory", "FIFO", "link", "missing directory"])
def test_what_is_no_file(tmp_path: Path, kind: str) -> None:
    """It prevents no start, and leaks no descriptor."""
    path, target = tmp_path / NAME, tmp_path / "target"
    target.write_text("kept")
    if kind == "directory":
        path.mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(target)
    state = tmp_path / "missing" if kind == "missing directory" else tmp_path
    descriptors = Path("/proc/self/fd")
    before = [*descriptors.iterdir()]
    UUID(read_identity(state).id)
    assert [*descriptors.iterdir()] == before
    assert target.read_text() == "kept"
