"""Fixtures of the tests of promises."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.kafka import Tansu, tansu
from peers.notes import Notes
from peers.oracle import Comparison, compare
from peers.postgresql import PostgreSQL, postgresql


@pytest.fixture
def soak() -> bool:
    """Whether GOLO_SOAK requests the long versions, as in ``make soak``."""
    return bool(os.environ.get("GOLO_SOAK"))


@pytest.fixture
def compare_results(
    idle_agent: Agent, collector: Collector, numbered: Notes
) -> Callable[..., Comparison]:
    """Compare the results of a job in the notes, the log and the collector."""

    def comparison(job_id: str, name: str, rejected: Iterable[str] = ()) -> Comparison:
        path = idle_agent.run_log(job_id, name)
        log = path.read_bytes() if path.exists() else b""
        return compare(numbered.emitted(job_id), log, collector.of_job(job_id), rejected)

    return comparison


@pytest.fixture
def database() -> Iterator[PostgreSQL]:
    """Run a database."""
    with postgresql() as database:
        yield database


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Tansu]:
    """Run a broker with a topic."""
    directory = tmp_path / "tansu"
    directory.mkdir()
    with tansu(directory) as broker:
        broker.create("golo", partitions=3)
        yield broker
