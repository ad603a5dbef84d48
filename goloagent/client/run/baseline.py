"""Compares runs with those of ``--baseline``."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from goloagent.client.exit_codes import ExitCode
from goloagent.report.comparison.compare import compare
from goloagent.report.model import Outcome, Report


def with_baseline(baseline: Sequence[Report], reports: Sequence[Report]) -> list[Report]:
    """Return the reports with the comparison in the last one; a regression fails a run that passed.

    Args:
        baseline: at least one.
        reports: the same.
    """
    last = reports[-1]
    found = compare(baseline, reports)
    outcome = last.outcome
    if found.regression and outcome is not None and outcome.exit_code == ExitCode.OK:
        sentence = f"Compared with the baseline (A): {found.sentence}"
        outcome = Outcome(int(ExitCode.THRESHOLD), "the comparison shows a regression", sentence)
    return [*reports[:-1], structs.replace(last, baseline=found, outcome=outcome)]
