"""``golo compare``: whether runs differ."""

from __future__ import annotations

import sys
from math import isfinite
from typing import Any

import click

from goloagent.client.config.access_options import access_of, access_options
from goloagent.client.errors import ClientError
from goloagent.client.exit_codes import ExitCode


def _share(_context: click.Context, parameter: click.Parameter, text: str) -> float:
    """Return a share: ``5%`` or ``0.05``."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not isfinite(share) or not 0 <= share < 1:
        raise ClientError(
            f"--{str(parameter.name).replace('_', '-')} {text}: write a share such as 5% or 0.05, "
            "from 0% to less than 100%"
        )
    return share


@click.command("compare")
@click.argument("a")
@click.argument("b")
@click.option(
    "--min-effect",
    default="5%",
    metavar="SHARE",
    callback=_share,
    help="a difference of less than this share of A is no regression  [default: 5%]",
)
@click.option(
    "--confidence",
    default="95%",
    metavar="SHARE",
    callback=_share,
    help="of the intervals; 1 less it is the level of the tests  [default: 95%]",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="METRIC",
    help="compare this one, such as 'duration p95'; repeatable; fewer need fewer runs  "
    "[default: all]",
)
@click.option("--json", "as_json", is_flag=True, help="print the comparison as JSON")
@access_options
def compare_command(
    a: str,
    b: str,
    min_effect: float,
    confidence: float,
    metrics: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> int:
    r"""Compare the runs A with the runs B: what differs, by how much, and if chance explains it.

    A and B are report files (.json, .html), directories of them, or ids of runs, separated by
    commas. A file of `golo run --repeat 8 --json FILE` has the reports of all its runs.

    \b
      golo compare before.json after.json
      golo compare before/ after/
      golo compare 4f1c,9a02,77be,c01d last --provider env

    With at least 4 runs on each side, the runs are tested (8 are better), and the exit code is 99
    if B is shown to be worse. Fewer can show that they differ, and not why: the exit code is 0.
    """
    from goloagent.client.reports import comparison_text
    from goloagent.client.reports.files import refused_if_damaged
    from goloagent.client.reports.sources import load
    from goloagent.report.comparison.compare import MAX_RUNS, METRICS, compare

    for metric in metrics:
        if metric not in METRICS:
            raise ClientError(f"--metric {metric}: there is none; use {', '.join(METRICS)}")
    if not confidence:
        raise ClientError("--confidence 0%: use more than 0%, such as 95%")
    runs_a, runs_b = load([a, b], access_of(options))
    for name, runs in (("A", runs_a), ("B", runs_b)):
        if len(runs) > MAX_RUNS:
            raise ClientError(f"{name} has {len(runs)} runs: compare at most {MAX_RUNS}")
    with refused_if_damaged(f"{a} or {b}"):
        found = compare(
            runs_a,
            runs_b,
            min_effect=min_effect,
            confidence=confidence,
            metrics=metrics or METRICS,
        )
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        comparison_text.write(found, sys.stdout)
    if not found.rows:
        return ExitCode.INVALID
    return ExitCode.THRESHOLD if found.regression else ExitCode.OK
