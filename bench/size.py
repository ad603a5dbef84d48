"""How long the measurements take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Sizes that every measurement scales with."""

    rounds: int
    seconds: float
    lines: int
    run_lines: int
    jobs: int
    upload_mib: int
    output_lines: int


TINY = Size(
    rounds=1,
    seconds=0.2,
    lines=20_000,
    run_lines=100_000,
    jobs=100,
    upload_mib=2,
    output_lines=10_000,
)
QUICK = Size(
    rounds=3,
    seconds=2,
    lines=2_000_000,
    run_lines=1_000_000,
    jobs=10_000,
    upload_mib=256,
    output_lines=100_000,
)
FULL = Size(
    rounds=7,
    seconds=5,
    lines=50_000_000,
    run_lines=10_000_000,
    jobs=10_000,
    upload_mib=1024,
    output_lines=1_000_000,
)
