"""R14: a log that another program changes costs only the removed lines, reported at once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.programs import Builder

# Prints 300 results before it listens, and 200 at SIGTERM.
PROGRAM = """
from goloagent import sdk

def report(first, last):
    for number in range(first, last):
        print('{"timestamp":"2026-01-02T03:04:05Z","sequenceID":"%d"}' % number)
    sys.stdout.flush()

report(0, 300)
sdk.serve(lambda: time.sleep(0.1))  # until SIGTERM
report(300, 500)
"""


def empty(log: Path) -> None:
    """Truncate it, as copytruncate does."""
    os.truncate(log, 0)


def cut_in_a_line(log: Path) -> None:
    """Leave 100 lines and a part of one."""
    os.truncate(log, log.read_bytes().index(b'"100"'))


def overwrite(log: Path) -> None:
    """Overwrite the first 100 lines and a part of one."""
    with log.open("r+b") as file:
        file.write(b"x" * log.read_bytes().index(b'"100"'))


def rewrite(log: Path) -> None:
    """Overwrite it with more data."""
    log.write_bytes(b"no results\n" * 10_000)


def remove(log: Path) -> None:
    """Remove it."""
    log.unlink()


def replace(log: Path) -> None:
    """Replace it by another file."""
    log.rename(log.with_suffix(".1"))
    log.write_bytes(b"no results\n" * 10_000)


def append(log: Path) -> None:
    """Append an invalid line."""
    with log.open("ab") as file:
        file.write(b"no result\n" * 1000)


# The number of the first 300 results that remain.
CHANGES = [
    (empty, 0),
    (cut_in_a_line, 100),
    (overwrite, 199),
    (rewrite, 0),
    (remove, 300),
    (replace, 300),
    (append, 300),
]


CUTS = {empty, cut_in_a_line}


@pytest.mark.parametrize(("change", "left"), CHANGES, ids=[one.__name__ for one, _ in CHANGES])
async def test_r14_a_log_that_others_change(
    agent: Agent, collector: Collector, script: Builder, change: Callable[[Path], None], left: int
) -> None:
    """The remaining results are delivered, the others counted, and no invalid data is sent."""
    collector.answer = lambda name: 503
    job_id = await agent.queue("cut", script(PROGRAM), duration=60, users=1)
    await agent.reached(job_id, "running", pending=300)
    log = agent.run_log(job_id, "cut")
    printed = log.read_bytes()
    change(log)
    collector.answer = lambda name: 200
    # Before more is printed, the agent has seen the change.
    await agent.reached(job_id, "running", pending=0)
    await agent.request("DELETE", f"/jobs/{job_id}")
    results = (await agent.settled(job_id))["results"]
    print(f"R14: {change.__name__}: {results}")
    taken = {
        number
        for push in collector.pushes
        if push.taken
        for number in (int(one["sequenceID"]) for one in json.loads(push.body))
    }
    assert (results["read"], results["invalid"]) == (500, 0)
    # Data read before may be sent from memory.
    assert len(taken) == results["delivered"] >= 200 + left
    assert results["abandoned"] == 500 - results["delivered"]
    assert taken >= set(range(300, 500))
    notices = (await agent.request("GET", "/health")).json["notices"]
    assert bool(notices) is (change in CUTS or results["abandoned"] > 0), notices
    # The audit after the test compares the counts with all printed results.
    rest = "".join(
        f'{{"timestamp":"2026-01-02T03:04:05Z","sequenceID":"{number}"}}\n'
        for number in range(300, 500)
    )
    log.unlink(missing_ok=True)
    log.write_bytes(printed + rest.encode())
