#!/usr/bin/env python3
"""Run hey as a load test of golo: each of its requests is a result.

The arguments are hey's own: ``-q 10 https://staging.example/``. By default it has GOLO_USERS
workers and ends after GOLO_DURATION. The job has ``"drive": "self"``. hey's summary is printed to
stderr.

hey prints its results at its end, at most 1,000,000 responses. Of a failed request it has the error
and no time.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from goloagent import sdk

# hey's option -o takes a template of Go: the results as a line of JSON each, then its summary.
OUTPUT = r"""{{ jsonify .Offsets }}
{{ jsonify .Lats }}
{{ jsonify .StatusCodes }}
{{ jsonify .ErrorDist }}
{{ .NumRes }}
Summary:
  Total:	{{ formatNumber .Total.Seconds }} secs
  Slowest:	{{ formatNumber .Slowest }} secs
  Fastest:	{{ formatNumber .Fastest }} secs
  Average:	{{ formatNumber .Average }} secs
  Requests/sec:	{{ formatNumber .Rps }}

Status code distribution:{{ range $code, $count := .StatusCodeDist }}
  [{{ $code }}]	{{ $count }} responses{{ end }}

Error distribution:{{ range $error, $count := .ErrorDist }}
  [{{ $count }}]	{{ $error }}{{ end }}
"""


def main() -> int:
    """Run hey to its end, and report its requests; return the exit code."""
    arguments = sys.argv[1:]
    if shutil.which("hey") is None:
        sys.exit("hey is not on the PATH of this agent: install it there")
    started = datetime.now(timezone.utc)
    hey = subprocess.Popen(
        ["hey", *defaults(arguments), "-o", OUTPUT, *arguments], stdout=subprocess.PIPE, text=True
    )
    # On SIGINT, hey waits for its requests and prints its results. SIGTERM, which the agent sends
    # to all processes when their time is over, would end it without them: so it ends before.
    signal.signal(signal.SIGALRM, lambda *_: hey.send_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, seconds_left())
    signal.signal(signal.SIGTERM, lambda *_: None)
    output, _ = hey.communicate()
    if hey.returncode == -signal.SIGTERM:
        sys.exit("hey was ended before it printed its results; give the job a longer duration")
    parts = output.split("\n", 5)
    if hey.returncode or len(parts) < 6:
        print(output, file=sys.stderr)
        return hey.returncode or 1
    offsets, latencies, statuses, errors, total = map(json.loads, parts[:5])
    print(parts[5], file=sys.stderr)
    request = {"method": value_of("-m", arguments) or "GET", "url": arguments[-1]}
    for offset, latency, status in zip(offsets, latencies, statuses, strict=True):
        ended = started + timedelta(seconds=offset + latency)
        sdk.report(**request, status=status, duration_seconds=latency, timestamp=ended)
    for error, count in errors.items():
        for _ in range(count):
            sdk.report(**request, status=0, duration_seconds=0, error=error)
    if missing := total - len(latencies) - sum(errors.values()):
        print(f"hey has no results of {missing} requests: make a shorter run", file=sys.stderr)
        return 1
    return 0


def defaults(arguments: list[str]) -> list[str]:
    """Return the options that the arguments lack."""
    options = []
    users, seconds = os.environ.get("GOLO_USERS", "0"), os.environ.get("GOLO_DURATION", "0")
    if users != "0" and value_of("-c", arguments) is None:
        options += ["-c", users]
    if float(seconds) and not (value_of("-z", arguments) or value_of("-n", arguments)):
        options += ["-z", f"{seconds}s"]
    return options


def seconds_left() -> float:
    """Return the time until hey must end: up to two seconds before the agent ends the job.

    It is 0, which is no limit for a timer, if GOLO_DURATION is not set.
    """
    seconds = float(os.environ.get("GOLO_DURATION", "0"))
    # Field 22 of proc_pid_stat(5) is the start of this process, which the agent counts from.
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return max(seconds - min(seconds / 10, 2) - age, 0.001) if seconds else 0


def value_of(name: str, arguments: list[str]) -> str | None:
    """Return the value of an option: ``-c 5``, ``-c=5`` or with two dashes."""
    for number, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if option in (name, f"-{name}"):
            return value if equals else "".join(arguments[number + 1 : number + 2])
    return None


if __name__ == "__main__":
    sys.exit(main())
