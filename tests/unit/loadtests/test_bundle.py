"""The file of a bundled load test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from goloagent import loadtests


@pytest.mark.parametrize("name", loadtests.NAMES)
def test_a_file_runs_alone(name: str, tmp_path: Path) -> None:
    """It is executable without the packages of the agent, in an isolated Python."""
    path = tmp_path / "loadtest"
    path.write_bytes(loadtests.source(name, f"{sys.executable} -IS"))
    path.chmod(0o755)
    shown = subprocess.run([path, "--help"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith(f"usage: {name}")
    assert shown.stderr == ""


@pytest.mark.parametrize("name", loadtests.NAMES)
def test_a_file_is_reproducible(name: str) -> None:
    """It is the same each time, so that an agent stores it once."""
    content = loadtests.source(name)
    assert content.startswith(b"#!/usr/bin/env python3\nPK")
    assert content == loadtests.source(name)
    assert len(content) < 500_000


def test_an_unknown_name() -> None:
    """The error has the names."""
    with pytest.raises(ValueError, match="use one of command, http_get"):
        loadtests.source("bundle")
