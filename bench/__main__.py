"""Run the measurements, print their table and write it as JSON."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import tempfile
from dataclasses import asdict
from pathlib import Path

from bench import size
from bench.row import Row, table, verdict

MEASUREMENTS = (
    "driving",
    "reading",
    "delivery",
    "outputs",
    "cost",
    "arrivals",
    "memory",
    "users",
    "fairness",
    "start",
    "uploads",
    "growth",
    "tools",
)


def main() -> None:
    """Run the measurements of the arguments, by default all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("measurement", nargs="*", help=f"of {', '.join(MEASUREMENTS)}")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    scales = parser.add_mutually_exclusive_group()
    scales.add_argument("--tiny", action="store_true", help="check that it works")
    scales.add_argument("--full", action="store_true", help="at full length, like BENCH_FULL=1")
    arguments = parser.parse_args()
    if unknown := set(arguments.measurement) - set(MEASUREMENTS):
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    scale = size.FULL if arguments.full or os.environ.get("BENCH_FULL") else size.QUICK
    if arguments.tiny:
        scale = size.TINY
    rows: list[Row] = []
    for name in arguments.measurement or MEASUREMENTS:
        measure = importlib.import_module(f"bench.{name}").measure
        with tempfile.TemporaryDirectory(prefix="golo-agent-bench-") as directory:
            for row in measure(Path(directory), scale):
                print(table([row]).splitlines()[-1], flush=True)
                rows.append(row)
    load = os.getloadavg()
    print(f"\n{table(rows)}\n\nload average at the end: {load[0]:.2f} {load[1]:.2f} {load[2]:.2f}")
    print(f"Python {platform.python_version()}\n{verdict(rows)}")
    report = {
        "load_average": load,
        "python": platform.python_version(),
        "rows": [asdict(row) | {"reached": row.reached} for row in rows],
    }
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
