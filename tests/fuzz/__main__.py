"""Fuzz each target: ``python -m fuzz [--seconds N] [TARGET ...]``.

Findings are stored next to the corpus, in the directory that is printed, and shown in the form in
which they go into tests/unit/test_fuzz.py.
"""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from fuzz import TARGETS

_MAX_BYTES = 4096
_SLOW_SECONDS = 10
_DONE = re.compile(r"Done (\d+) runs in (\d+) second")


def fuzz(name: str, seconds: int, directory: Path) -> bool:
    """Run one target, print the outcome, and return whether nothing was found."""
    corpus = directory / name
    corpus.mkdir()
    for number, seed in enumerate(importlib.import_module(f"fuzz.{name}").seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "fuzz.engine", name, str(corpus)),
            f"-max_total_time={seconds}",
            f"-max_len={_MAX_BYTES}",
            f"-timeout={_SLOW_SECONDS}",
            f"-artifact_prefix={directory}/{name}-",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    findings = sorted(directory.glob(f"{name}-*"))
    done = _DONE.search(ended.stderr)
    passed = ended.returncode == 0 and done is not None and not findings
    if passed and done is not None:
        print(f"{name}: {int(done[1]):,} inputs in {done[2]} s: nothing found", flush=True)
    else:
        print(f"{name}: exit code {ended.returncode}\n{ended.stderr[-4000:]}", flush=True)
    for finding in findings:
        print(f"{finding}: {finding.read_bytes()!r}", flush=True)
    return passed


def main() -> int:
    """Fuzz the targets that are named, or all."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    arguments = parser.parse_args()
    for name in arguments.targets:
        if name not in TARGETS:
            parser.error(f"there is no target {name}")
    directory = Path(tempfile.mkdtemp(prefix="golo-fuzz-"))
    print(f"corpus and findings: {directory}", flush=True)
    passed = [fuzz(name, arguments.seconds, directory) for name in arguments.targets or TARGETS]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
