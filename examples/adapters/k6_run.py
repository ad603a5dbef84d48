#!/usr/bin/env python3
"""Run k6 as a load test of golo: each of its HTTP requests is a result.

The arguments are those of ``k6 run``: ``script.js``. By default it has GOLO_USERS virtual users and
ends after GOLO_DURATION; options of the script, K6_* variables and arguments win. The job has
``"drive": "self"``. k6's summary is printed to stderr.

With the name of a .json file as its only argument, it reads the output of a run that was made
before by ``k6 run --out json=results.json``. k6's output has no sizes of responses.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from goloagent import sdk

CONFIG = Path("k6-defaults.json")


def main() -> int:
    """Run k6 to its end, and report its requests while they are made; return the exit code."""
    arguments = sys.argv[1:]
    if len(arguments) == 1 and arguments[0].endswith(".json"):
        with Path(arguments[0]).open(encoding="utf-8") as lines:
            report(lines)
        return 0
    if shutil.which("k6") is None:
        sys.exit("k6 is not on the PATH of this agent: install it there")
    # At its time, the agent sends SIGTERM to all processes: k6 ends its iterations by itself.
    signal.signal(signal.SIGTERM, lambda *_: None)
    command = ["k6", "run", "--quiet", "--out", "json=-", *defaults(arguments), *arguments]
    k6 = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert k6.stdout is not None
    report(k6.stdout)
    return k6.wait()


def defaults(arguments: list[str]) -> list[str]:
    """Write a configuration file, whose options a script replaces; return the option for it."""
    if any(argument.partition("=")[0] in ("-c", "--config") for argument in arguments):
        return []
    users, seconds = os.environ.get("GOLO_USERS", "0"), os.environ.get("GOLO_DURATION", "0")
    options = {"vus": int(users), "duration": f"{seconds}s"}
    CONFIG.write_text(json.dumps(options if options["vus"] and float(seconds) else {}))
    return ["--config", str(CONFIG)]


def report(lines: Iterable[str]) -> None:
    """Report the request of each point of ``http_req_duration``; print k6's own text to stderr.

    Format: https://grafana.com/docs/k6/latest/results-output/real-time/json/
    """
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or "metric" not in entry:
            print(line, end="", file=sys.stderr)
        elif entry["type"] == "Point" and entry["metric"] == "http_req_duration":
            report_request(entry["data"])


def report_request(point: dict) -> None:
    """Report a request from its duration in milliseconds, the time of its end, and its tags."""
    tags = point["tags"] or {}
    status = int(tags.get("status") or 0)
    error = tags.get("error") or None
    if error is None and tags.get("expected_response") == "false":
        error = f"unexpected status {status}"
    sdk.report(
        method=tags.get("method", ""),
        url=tags.get("name") or tags.get("url", ""),
        status=status,
        duration_seconds=point["value"] / 1000,
        error=error,
        sequence_id="",
        timestamp=parse_time(point["time"]),
    )


def parse_time(text: str) -> datetime:
    """Parse a time by RFC 3339, of whose nine digits of a second Python stores six."""
    match = re.fullmatch(r"(.{19})(?:\.(\d+))?(.+)", text)
    zone = "+00:00" if match[3] == "Z" else match[3]
    return datetime.fromisoformat(f"{match[1]}.{(match[2] or '')[:6].ljust(6, '0')}{zone}")


if __name__ == "__main__":
    sys.exit(main())
