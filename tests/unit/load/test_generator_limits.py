"""Which causes a second's figures show."""

from __future__ import annotations

import errno
import re
import threading
from pathlib import Path

import attrs
import pytest

from goloagent.load.generator_limits import (
    CAUSES,
    Counters,
    Second,
    causes,
    read_counters,
    system_errors,
)

IDLE = Counters(busy=10, steal=5, total=1000, memory_stall=3)


@pytest.mark.parametrize(
    ("cause", "below", "above"),
    [
        ("agent-cpu", {"busy": 10.8}, {"busy": 11}),
        ("cpu-steal", {"steal": 5.1, "total": 1002}, {"steal": 5.3, "total": 1002}),
        ("memory-pressure", {"memory_stall": 3.05}, {"memory_stall": 3.2}),
    ],
)
def test_a_counter_beyond_its_limit(
    cause: str, below: dict[str, float], above: dict[str, float]
) -> None:
    """Up to the limit nothing is reported."""
    second = Second(1.0)
    assert list(causes(second, IDLE, attrs.evolve(IDLE, **below))) == []
    assert list(causes(second, IDLE, attrs.evolve(IDLE, **above))) == [cause]


@pytest.mark.parametrize(
    ("cause", "below", "above"),
    [
        ("loadtest-cpu", Second(2, load_test_thread=1.8), Second(2, load_test_thread=1.9)),
        ("loadtest-cpu", Second(1, load_test_share=0.9), Second(1, load_test_share=0.91)),
        ("loop-lag", Second(1, loop_lag=0.25), Second(1, loop_lag=0.26)),
        ("schedule-lag", Second(1, schedule_lag=0.1), Second(1, schedule_lag=0.11)),
        ("stdout-blocked", Second(2, stdout_blocked=1), Second(2, stdout_blocked=1.1)),
        ("descriptors", Second(1), Second(1, errors=frozenset({errno.EMFILE}))),
        ("descriptors", Second(1), Second(1, errors=frozenset({errno.ENFILE}))),
        ("ports", Second(1), Second(1, errors=frozenset({errno.EADDRNOTAVAIL}))),
    ],
)
def test_an_observation_beyond_its_limit(cause: str, below: Second, above: Second) -> None:
    """Up to the limit nothing is reported."""
    assert list(causes(below, IDLE, IDLE)) == []
    assert list(causes(above, IDLE, IDLE)) == [cause]
    assert cause in CAUSES


def test_a_short_interval() -> None:
    """Its shares are not judged, because one tick of the kernel's clock is much of it."""
    busy = Counters(busy=11, steal=6, total=1001, memory_stall=4)
    second = Second(0.1, 0.3, 0.3, 0.1, frozenset({errno.EMFILE, errno.EADDRNOTAVAIL}))
    second = attrs.evolve(second, load_test_thread=0.1, load_test_share=1)
    assert list(causes(second, IDLE, busy)) == ["loop-lag", "schedule-lag", "descriptors", "ports"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("dial tcp 10.0.0.1:80: socket: too many open files", errno.EMFILE),
        ("[Errno 24] Too many open files: '/etc/hosts'", errno.EMFILE),
        ("accept: too many open files in system", errno.EMFILE),
        ("connect EMFILE 10.0.0.1:80 - Local (undefined:undefined)", errno.EMFILE),
        ("dial tcp 10.0.0.1:80: connect: cannot assign requested address", errno.EADDRNOTAVAIL),
        ("java.net.BindException: Cannot assign requested address", errno.EADDRNOTAVAIL),
        ("connect EADDRNOTAVAIL 10.0.0.1:80", errno.EADDRNOTAVAIL),
        ("dial tcp 10.0.0.1:80: connect: connection refused", None),
        ("bind: address already in use", None),
        ("", None),
    ],
)
def test_system_errors_of_texts(text: str, number: int | None) -> None:
    """In the words of Go, Python, Java and Node.js."""
    assert system_errors(text) == (frozenset() if number is None else {number})


def test_counters_are_read(tmp_path: Path) -> None:
    """In seconds; what a kernel does not have is 0."""
    task = tmp_path / "self/task/7"
    task.mkdir(parents=True)
    (task / "schedstat").write_text("1500000000 500000000 12\n")
    (tmp_path / "stat").write_text("cpu  100 0 100 700 0 0 0 100 50 0\ncpu0 1 2 3\n")
    read = read_counters(7, tmp_path)
    assert (read.busy, read.steal, read.total, read.memory_stall) == (2, 1, 10, 0)
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure/memory").write_text("some avg10=0.00 avg60=0.00 total=250000\nfull x\n")
    assert read_counters(7, tmp_path).memory_stall == 0.25


def test_each_cause_is_documented() -> None:
    """The table has a row for each, in the same order."""
    page = (Path(__file__).parents[3] / "docs/limits.md").read_text()
    assert re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE) == list(CAUSES)


def test_counters_of_this_machine() -> None:
    """The kernel's own files have the form that is read."""
    thread = threading.get_native_id()
    before = read_counters(thread)
    sum(range(10**6))
    after = read_counters(thread)
    assert after.busy > before.busy > 0
    assert after.total >= before.total > 0
