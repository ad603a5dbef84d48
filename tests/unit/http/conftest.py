"""The fixture of all tests of the HTTP server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.http.in_memory import NOW, Agent

from goloagent.artifacts.store import ArtifactStore
from goloagent.jobs.database import Store


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """Return an agent with an empty store."""
    store = Store(tmp_path / "agent.sqlite")
    binaries = ArtifactStore(tmp_path, store, lambda: NOW)
    binaries.open()
    yield Agent(tmp_path, store, binaries)
    store.close()
