"""The load generator's limits: observed each second, and recorded in the job as spans."""

from __future__ import annotations

import errno
import os
import resource
from datetime import datetime, timezone
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock

from goloagent.core.job_spec import JobSpec
from goloagent.core.spans import Span
from goloagent.core.stats.error_groups import ErrorGroups, ErrorKey
from goloagent.jobs.job import Job
from goloagent.load.generator_limits import Counters
from goloagent.runs.limit_detector import (
    ErrorWatch,
    LimitDetector,
    LimitRecorder,
    probe_descriptors,
    read_own_counters,
)
from goloagent.sandbox.cpu_use import CpuUse


class Host:
    """The counters of a host, and a limit of descriptors."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.counters = Counters()
        self.error = 0
        self.detector = LimitDetector(self.clock, lambda: self.counters, lambda: self.error)

    def count(self, **seconds: float) -> None:
        """Raise counters."""
        was = attrs.asdict(self.counters)
        self.counters = Counters(**was | {name: was[name] + add for name, add in seconds.items()})

    def pass_second(self) -> None:
        """Let a second pass in which every timer is on time."""
        self.clock.pump([0.05] * 20)


@pytest.fixture
def host() -> Host:
    """Create a host whose counters have counted before."""
    host = Host()
    host.count(busy=100, total=100)
    host.detector.start()
    return host


def test_an_idle_second(host: Host) -> None:
    """It has no cause."""
    host.pass_second()
    assert host.detector.sample(1.0) == ()


def test_counters_are_those_since_the_last_sample(host: Host) -> None:
    """A cause ends with its second."""
    host.pass_second()
    host.count(busy=1, memory_stall=1)
    assert host.detector.sample(1.0) == ("agent-cpu", "memory-pressure")
    host.pass_second()
    assert host.detector.sample(1.0) == ()


def test_an_event_loop_that_stands_still(host: Host) -> None:
    """It is seen if the sample is taken before the late timer, and also after it."""
    host.pass_second()
    host.clock.rightNow += 0.9
    assert host.detector.sample(1.0) == ("loop-lag",)
    host.clock.advance(0)
    assert host.detector.sample(1.0) == ("loop-lag",)
    host.pass_second()
    assert host.detector.sample(1.0) == ()


def test_observations_of_others(host: Host) -> None:
    """They are judged as they are given."""
    errors = frozenset({errno.EADDRNOTAVAIL})
    assert host.detector.sample(1.0, 0.3, 0.9, errors) == (
        "schedule-lag",
        "ports",
        "stdout-blocked",
    )
    host.error = errno.EMFILE
    assert host.detector.sample(1.0, errors=errors) == ("descriptors", "ports")


@pytest.mark.parametrize("cpu", [CpuUse(thread=0.95), CpuUse(share=0.95)])
def test_the_cpu_of_the_load_test(host: Host, cpu: CpuUse) -> None:
    """Its busiest thread and its share are judged."""
    host.pass_second()
    assert host.detector.sample(1.0, cpu=cpu) == ("loadtest-cpu",)


def test_a_detector_that_is_stopped() -> None:
    """It leaves no timer, also if it was never started."""
    host = Host()
    host.detector.stop()
    host.detector.start()
    host.detector.stop()
    assert host.clock.getDelayedCalls() == []


def test_spans_of_a_job() -> None:
    """A cause that goes on is one span, and is published once."""
    job = Job("id", JobSpec("shop", 1, 1, "b"), datetime(2026, 1, 2, tzinfo=timezone.utc))
    published: list[dict[str, Any]] = []
    recorder = LimitRecorder(job, published.append)
    recorder.add(["ports"], 0, 1 - 1e-12)
    recorder.add(["ports", "loop-lag"], 1, 2)
    recorder.add([], 2, 3)
    recorder.add(["ports"], 3, 4)
    assert job.limited == (Span("ports", 0, 2), Span("loop-lag", 1, 2), Span("ports", 3, 4))
    assert published == [
        {"cause": "ports", "from": 0, "to": 1},
        {"cause": "loop-lag", "from": 1, "to": 2},
        {"cause": "ports", "from": 3, "to": 4},
    ]


def test_system_errors_of_groups() -> None:
    """Only those that have occurred since the last call."""
    groups, watch = ErrorGroups(), ErrorWatch()
    full = ErrorKey("socket: too many open files", "GET", "/a")
    groups.add([full])
    groups.add([ErrorKey("connection refused")])
    assert watch.since(groups.top()) == {errno.EMFILE}
    groups.add([ErrorKey("connection refused")])
    assert watch.since(groups.top()) == frozenset()
    groups.add([full])
    groups.add([ErrorKey("connect EADDRNOTAVAIL")])
    assert watch.since(groups.top()) == {errno.EMFILE, errno.EADDRNOTAVAIL}


def test_descriptors_of_this_process() -> None:
    """The probe finds that there is none left."""
    assert probe_descriptors() == 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = os.open(os.devnull, os.O_RDONLY)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
        assert probe_descriptors() == errno.EMFILE
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(used)


def test_counters_of_this_thread() -> None:
    """A thread that computes is busy."""
    before = read_own_counters()
    sum(range(10**6))
    assert read_own_counters().busy > before.busy
