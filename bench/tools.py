"""From a command to a verdict: ``golo run URL`` beside ``locust --headless`` and ``hey``.

All have 25 users on the same target, in turn. The time is that of the whole command.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from bench.row import Row
from bench.size import Size

USERS = 25
TARGET = Path(__file__).parents[1] / "examples" / "target.py"
_LOCUSTFILE = """
from locust import FastHttpUser, task
class User(FastHttpUser):
    @task
    def get(self):
        self.client.get("/")
"""


class _Outcome(NamedTuple):
    """Seconds beyond the load, and requests per second."""

    overhead: float
    rate: float


def measure(directory: Path, size: Size) -> Iterator[Row]:
    """Run each tool that is there against a target."""
    seconds = max(2, round(size.seconds))
    with subprocess.Popen(
        [sys.executable, TARGET, "0"], stdout=subprocess.PIPE, text=True
    ) as target:
        assert target.stdout is not None
        url = f"{target.stdout.readline().strip()}/"
        try:
            yield from _compare(directory, url, seconds, size.rounds)
        finally:
            target.terminate()


def _compare(directory: Path, url: str, seconds: int, rounds: int) -> Iterator[Row]:
    bin_ = Path(sys.executable).parent
    tools: dict[str, Callable[[], _Outcome]] = {
        "golo": lambda: _golo(bin_, directory, url, seconds)
    }
    if (bin_ / "locust").exists():
        tools["locust"] = lambda: _locust(bin_, directory, url, seconds)
    if shutil.which("hey"):
        tools["hey"] = lambda: _hey(url, seconds)
    outcomes = [{name: run() for name, run in tools.items()} for _ in range(rounds)]
    for name in tools:
        if name == "golo":
            continue
        ours, theirs = ([one[key] for one in outcomes] for key in ("golo", name))
        yield Row.compared(
            f"requests by `golo run URL`, relative to {name}",
            [one.rate for one in ours],
            "requests/s",
            [one.rate for one in theirs],
        )
        yield Row.compared(
            f"time beyond the load, relative to {name}",
            [one.overhead for one in ours],
            "s",
            [one.overhead for one in theirs],
            at_least=False,
        )


def _golo(bin_: Path, directory: Path, url: str, seconds: int) -> _Outcome:
    report = directory / "report.json"
    words = [
        bin_ / "golo",
        "run",
        url,
        "-u",
        str(USERS),
        "-d",
        str(seconds),
        "-q",
        "--json",
        report,
    ]
    took, _ = _timed(words)
    results = json.loads(report.read_text())["results"]["valid"]
    return _Outcome(took - seconds, results / seconds)


def _locust(bin_: Path, directory: Path, url: str, seconds: int) -> _Outcome:
    file = directory / "locustfile.py"
    file.write_text(_LOCUSTFILE)
    words = [bin_ / "locust", "-f", file, "--headless", "-u", str(USERS), "-r", str(USERS)]
    words += ["-t", f"{seconds}s", "-H", url.rstrip("/"), "--json", "--loglevel", "ERROR"]
    took, out = _timed(words)
    [total] = json.loads(out[out.index("[") :])
    return _Outcome(took - seconds, total["num_requests"] / seconds)


def _hey(url: str, seconds: int) -> _Outcome:
    took, out = _timed(["hey", "-z", f"{seconds}s", "-c", str(USERS), url])
    [rate] = re.findall(r"Requests/sec:\s+([\d.]+)", out)
    return _Outcome(took - seconds, float(rate))


def _timed(words: list[str | Path]) -> tuple[float, str]:
    begin = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return time.monotonic() - begin, done.stdout
