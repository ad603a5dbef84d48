"""A report: all that is known about one run of one or more agents, as JSON.

Times are in seconds, moments in RFC 3339.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from goloagent.core.stats.cpu_usage import RunCpu
from goloagent.core.stats.summary import ErrorSummary, Latency, OtherSummary, RowSummary, UrlSummary
from goloagent.core.verdict import Verdict
from goloagent.report.comparison.model import Comparison

VERSION = 1
PRIVATE_AGENT = "private agent"
"""The name of the agent that a run starts for itself, in the place of an address."""

Metric = Literal["duration", "iteration", "service", "schedule_lag"]
DutyName = Literal["ready", "none-lost", "started-together", "delivered", "generator-not-the-limit"]


class AgentPart(Struct, frozen=True, kw_only=True):
    """The answers of one agent about its job of a run.

    Attributes:
        agent: its address, or "private agent".
        job: of ``GET /jobs/<id>``.
        stats: of ``GET /jobs/<id>/stats?histograms=hdr``; None without a log.
        timeline: of ``GET /jobs/<id>/timeline?histograms=hdr``; None without one.
        skew: seconds by which its load began after the planned start.
    """

    agent: str
    version: str
    job: dict[str, Any]
    stats: dict[str, Any] | None = None
    timeline: dict[str, Any] | None = None
    skew: float | None = None


class Outcome(Struct, frozen=True):
    """The exit code of ``golo run``, its meaning, and a sentence about this run."""

    exit_code: int
    meaning: str
    sentence: str


class Duty(Struct, frozen=True):
    """A duty of the agents beside the thresholds; `passed` is null if it does not apply."""

    name: DutyName
    passed: bool | None
    sentence: str


class Calls(Struct, frozen=True):
    """Calls to the load test: scheduled = started + dropped, started = ok + failed + in_flight."""

    scheduled: int = 0
    dropped: int = 0
    started: int = 0
    ok: int = 0
    failed: int = 0
    in_flight: int = 0


class Results(Struct, frozen=True):
    """Lines of stdout: read = valid + invalid; `errors` of the valid ones are errors."""

    read: int = 0
    valid: int = 0
    invalid: int = 0
    errors: int = 0
    bytes: int = 0
    delivered: int = 0
    rejected: int = 0
    pending: int = 0
    abandoned: int = 0


class CountedLatency(Latency, frozen=True, kw_only=True, omit_defaults=True):
    """A latency with the number of values that it is of."""

    count: int


class Latencies(Struct, frozen=True, kw_only=True):
    """The times of results and of calls, null if there are none; see `CallsSummary`."""

    duration: CountedLatency | None = None
    iteration: CountedLatency | None = None
    service: CountedLatency | None = None
    schedule_lag: CountedLatency | None = None


class Limited(Struct, frozen=True, rename={"begin": "from", "end": "to"}):
    """A time in which a generator was the limit, in seconds from the start of the load."""

    agent: str
    cause: str
    begin: float
    end: float


class WindowTimes(Struct, frozen=True):
    """The percentiles of an interval, and the counts of its values in buckets from `first` on.

    Bucket i is of the values from ``(32 + i % 32) * 2**(i // 32 + 4)`` ns on, or ``32 * i`` ns
    if i < 32. A negative count says how many buckets have no values.
    """

    p50: float
    p95: float
    p99: float
    max: float
    count: int
    first: int
    counts: list[int]


class WindowReport(Struct, frozen=True):
    """An interval of the run, `at` seconds after the start of the load; see `core.timeline`."""

    at: float
    seconds: float
    planned: float
    scheduled: int
    started: int
    dropped: int
    succeeded: int
    failed: int
    in_flight: int
    max_in_flight: int
    results: int
    errors: int
    bytes: int
    invalid: int
    duration: WindowTimes | None
    iteration: WindowTimes | None
    limited: list[str]


class Delivery(Struct, frozen=True):
    """The delivery of an agent's results: ``ok``, ``retrying``, ``holding`` or ``none``."""

    state: str
    pending: int
    last_error: str | None


class OutputDelivery(Struct, frozen=True):
    """The delivery of an agent's results to one output, ``ok``, ``retrying`` or ``holding``.

    The agent's valid results = delivered + rejected + pending + abandoned.

    Attributes:
        required: a run's results must reach it.
    """

    state: str
    required: bool
    delivered: int
    rejected: int
    pending: int
    abandoned: int
    last_error: str | None


class AgentReport(Struct, frozen=True, kw_only=True):
    """One agent's part of a run.

    Attributes:
        share: of the calls of all agents, or of the results if it makes none; from 0 to 1.
        p95: of its results.
        limited: seconds in which it was the limit.
        cpu: the usage of the agent and of its load test; null if it was not measured.
        exit: of the load test's process.
        ended: the reason for which its job did not finish, for programs.
        message: the same for people.
        outputs: by name.
    """

    agent: str
    version: str
    job: str
    share: float
    skew: float | None
    calls: Calls
    results: Results
    p95: float | None
    limited: float
    state: str
    ended: str | None
    message: str | None
    exit: dict[str, Any] | None
    stderr_tail: str
    invalid_line: dict[str, Any] | None
    warnings: list[str]
    delivery: Delivery
    outputs: dict[str, OutputDelivery] = {}
    cpu: RunCpu | None = None


class Report(Struct, frozen=True, kw_only=True):
    """A run. `urls` and `rows` are ordered by their results, the most first.

    Attributes:
        run: the id of the run, or of the job if it belongs to none.
        state: of the job; of several, the one that is worst.
        verdict: null before there is one; provisional until the run is over.
        load: as it was planned for all agents, see `load` of a job.
        rate: results a second.
        limited: when the generator was the limit.
        changes: of the load while it ran.
        timeline: at most 600 intervals of equal length.
        baseline: the comparison with another run.
        missing: sentences about what is not known.
    """

    version: int = VERSION
    run: str
    name: str
    binary: str
    drive: str
    users: int
    planned_rate: float
    planned_duration: float
    load: dict[str, Any] | None
    started_at: datetime | None
    ended_at: datetime | None
    state: str
    outcome: Outcome | None = None
    verdict: Verdict | None
    calls: Calls
    results: Results
    latency: Latencies
    rate: float | None
    urls: list[UrlSummary]
    other_urls: OtherSummary | None
    rows: list[RowSummary]
    other: OtherSummary | None
    errors: list[ErrorSummary]
    other_errors: int
    limited: list[Limited]
    changes: list[dict[str, Any]]
    timeline: list[WindowReport]
    agents: list[AgentReport]
    duties: list[Duty] = []
    tags: dict[str, str] = {}
    baseline: Comparison | None = None
    missing: list[str] = []
