"""The directory of private agents, where none can be."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from goloagent.client.private_agent.agent import running_agents
from goloagent.client.private_agent.directory import DirectoryError, make_directory


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of the user, which is not made yet."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("goloagent.client.private_agent.directory._MAX_SOCKET_PATH", 4096)
    return tmp_path / f"golo-{os.getuid()}"


def test_a_directory_that_others_may_use(base: Path) -> None:
    """No agent is started in it, and none is looked for."""
    base.mkdir(mode=0o777)
    base.chmod(0o777)
    with pytest.raises(DirectoryError, match="remove it, or set TMPDIR"):
        make_directory()
    assert running_agents() == []


def test_a_directory_where_nothing_can_be_executed(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names what to set."""
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_NOEXEC))
    with pytest.raises(DirectoryError, match=r"mounted noexec.*set TMPDIR"):
        make_directory()
    assert list(base.iterdir()) == []
