"""The exit codes of ``golo``; those that k6 has too have the same numbers."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    THRESHOLD = 99
    INVALID = 104
    INTERRUPTED = 105
    LOAD_TEST = 107
    AGENTS_LOST = 120
    NOT_READY = 121
    LIMITED = 122
    UNDELIVERED = 123


MEANINGS = {
    ExitCode.OK: "the run went to its end, all thresholds held, every result was delivered",
    ExitCode.THRESHOLD: "a threshold failed, or the comparison shows a regression",
    ExitCode.INVALID: "the job file, an option or a threshold is wrong; nothing was run",
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.LOAD_TEST: "the load test failed",
    ExitCode.AGENTS_LOST: "more agents were lost than --tolerate allows",
    ExitCode.NOT_READY: "not all agents became ready",
    ExitCode.LIMITED: "--strict, and the load generator was the limit",
    ExitCode.UNDELIVERED: "results were not delivered in time",
}
