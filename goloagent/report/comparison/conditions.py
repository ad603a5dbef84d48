"""The conditions of two sides that should be equal: warnings if they are not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from goloagent.report import figures
from goloagent.report.comparison.measures import share
from goloagent.report.model import Report

MAX_SHARE_DIFFERENCE = 0.01
_OVER = "finished"

_EQUAL: tuple[tuple[str, Callable[[Report], Any]], ...] = (
    ("planned load", lambda run: (run.users, run.planned_rate, run.planned_duration, run.load)),
    ("number of agents", lambda run: len(run.agents)),
    ("version of the agents", lambda run: sorted({agent.version for agent in run.agents})),
    ("drive of the load test", lambda run: run.drive),
)


def warnings(a: Sequence[Report], b: Sequence[Report]) -> list[str]:
    """Return a sentence for each condition that differs, or makes both sides doubtful."""
    return [*_unequal(a, b), *_shares(a, b), *_limits(a, b), *_ends(a, b)]


def ramps(a: Sequence[Report], b: Sequence[Report]) -> list[str]:
    """Return a sentence if a load is not constant, so that blocks of it are not alike."""
    if any(map(_is_ramp, (*a, *b))):
        return [
            "The load is not constant: the intervals and p are too wide, because blocks differ."
        ]
    return []


def _is_ramp(run: Report) -> bool:
    load = run.load or {}
    levels = [stage.get("users", stage.get("rate")) for stage in load.get("stages", ())]
    return bool(run.changes) or any(level != load.get("start") for level in levels)


def _unequal(a: Sequence[Report], b: Sequence[Report]) -> Iterator[str]:
    for name, of in _EQUAL:
        # Compared and not hashed, because 2 and 2.0 are equal and their JSON differs.
        in_a, in_b = [of(run) for run in a], [of(run) for run in b]
        if in_a[0] != in_b[0]:
            yield f"The {name} of A and B differs."
        elif any(value != in_a[0] for value in (*in_a, *in_b)):
            yield f"The {name} differs between the runs."


def _shares(a: Sequence[Report], b: Sequence[Report]) -> Iterator[str]:
    dropped = [_share((run.calls.dropped, run.calls.scheduled) for run in runs) for runs in (a, b)]
    if _differ(dropped):
        in_a, in_b = _percents(dropped)
        yield (
            f"A dropped {in_a} of its iterations and B {in_b}: the latency lacks those that were "
            "not made."
        )
    errors = [_share((run.results.errors, run.results.valid) for run in runs) for runs in (a, b)]
    if _differ(errors):
        in_a, in_b = _percents(errors)
        yield (
            f"{in_a} of the results of A are errors and {in_b} of those of B: the latency includes "
            "that of errors."
        )


def _limits(a: Sequence[Report], b: Sequence[Report]) -> Iterator[str]:
    for name, runs in (("A", a), ("B", b)):
        limited = [run for run in runs if run.limited]
        if limited:
            causes = ", ".join(sorted({one.cause for run in limited for one in run.limited}))
            yield (
                f"The load generator was the limit in {_of(limited, runs)} of {name} ({causes}): "
                "its figures are those of the generator too."
            )


def _ends(a: Sequence[Report], b: Sequence[Report]) -> Iterator[str]:
    for name, runs in (("A", a), ("B", b)):
        short = [run for run in runs if run.state != _OVER]
        if short:
            yield f"{_of(short, runs)} of {name} did not finish ({short[0].state})."
        changed = [run for run in runs if run.changes]
        if changed:
            yield f"The load was changed during {_of(changed, runs)} of {name}."


def _share(counts: Iterable[tuple[int, int]]) -> float:
    parts, wholes = zip(*counts, strict=True)
    return share(sum(parts), sum(wholes)) or 0.0


def _differ(shares: Sequence[float]) -> bool:
    return abs(shares[0] - shares[1]) > MAX_SHARE_DIFFERENCE


def _percents(shares: Sequence[float]) -> list[str]:
    return [figures.share(part, 1) for part in shares]


def _of(some: Sequence[Report], runs: Sequence[Report]) -> str:
    return "the run" if len(runs) == 1 else f"{len(some)} of {len(runs)} runs"
