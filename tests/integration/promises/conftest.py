"""What the tests of promises share: the long versions' switch, and the verdict on a job."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.notes import Notes
from peers.oracle import Verdict, judge


@pytest.fixture
def soak() -> bool:
    """Whether the long versions are asked for: GOLO_SOAK is set, as by ``make soak``."""
    return bool(os.environ.get("GOLO_SOAK"))


@pytest.fixture
def verdict_of(idle_agent: Agent, collector: Collector, numbered: Notes) -> Callable[..., Verdict]:
    """Say what became of the results of a job: of notes, log and what the collector stored."""

    def verdict(job_id: str, name: str, rejected: Iterable[str] = ()) -> Verdict:
        path = idle_agent.run_log(job_id, name)
        log = path.read_bytes() if path.exists() else b""
        return judge(numbered.emitted(job_id), log, collector.of_job(job_id), rejected)

    return verdict
