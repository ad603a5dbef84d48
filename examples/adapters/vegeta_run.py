#!/usr/bin/env python3
"""Run vegeta as a load test of golo: each of its hits is a result.

The arguments are those of ``vegeta attack``: ``-rate 200 -targets targets.txt``. Without
``-targets`` it gets $TARGET. By default it ends after GOLO_DURATION; without ``-rate`` it has
GOLO_USERS workers that do not wait. The job has ``"drive": "self"``. vegeta's report is printed to
stderr.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

from goloagent import sdk

RESULTS = Path("vegeta-results.gob")


def main() -> int:
    """Run vegeta to its end, and report its hits while they are made; return the exit code."""
    arguments = sys.argv[1:]
    if shutil.which("vegeta") is None:
        sys.exit("vegeta is not on the PATH of this agent: install it there")
    pipe = subprocess.PIPE
    attack = subprocess.Popen(
        ["vegeta", "attack", *defaults(arguments), *arguments], stdin=pipe, stdout=pipe
    )
    tee = subprocess.Popen(["tee", str(RESULTS)], stdin=attack.stdout, stdout=pipe)
    encode = subprocess.Popen(["vegeta", "encode", "-to", "json"], stdin=tee.stdout, stdout=pipe)
    # On SIGINT, vegeta ends its attack in order. SIGTERM, which the agent sends to all processes
    # when their time is over, would kill it: so it ends before.
    signal.signal(signal.SIGALRM, lambda *_: attack.send_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, seconds_left())
    signal.signal(signal.SIGTERM, lambda *_: None)
    for stream in (attack.stdout, tee.stdout):
        stream.close()  # is the other process's
    attack.stdin.write(f"GET {os.environ.get('TARGET', '')}\n".encode())
    attack.stdin.close()
    for line in encode.stdout:
        report(json.loads(line))
    codes = [process.wait() for process in (attack, tee, encode)]
    subprocess.run(["vegeta", "report", str(RESULTS)], stdout=sys.stderr, check=False)
    return max(codes)


def defaults(arguments: list[str]) -> list[str]:
    """Return the options that the arguments lack."""
    given = {argument.partition("=")[0].lstrip("-") for argument in arguments}
    users, seconds = os.environ.get("GOLO_USERS", "0"), os.environ.get("GOLO_DURATION", "0")
    options = []
    if float(seconds) and "duration" not in given:
        options.append(f"-duration={seconds}s")
    if users != "0" and not given & {"rate", "max-workers"}:
        options += ["-rate=0", f"-max-workers={users}"]
    return options


def seconds_left() -> float:
    """Return the time until vegeta must end: up to two seconds before the agent ends the job.

    It is 0, which is no limit for a timer, if GOLO_DURATION is not set.
    """
    seconds = float(os.environ.get("GOLO_DURATION", "0"))
    # Field 22 of proc_pid_stat(5) is the start of this process, which the agent counts from.
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return max(seconds - min(seconds / 10, 2) - age, 0.001) if seconds else 0


def report(hit: dict) -> None:
    """Report a hit: its time is that of its start, its latency in nanoseconds."""
    seconds = hit["latency"] / 1e9
    sdk.report(
        method=hit["method"],
        url=hit["url"],
        status=hit["code"],
        size=hit["bytes_in"],
        duration_seconds=seconds,
        error=hit["error"] or None,
        sequence_id="",
        timestamp=parse_time(hit["timestamp"]) + timedelta(seconds=seconds),
    )


def parse_time(text: str) -> datetime:
    """Parse a time by RFC 3339, of whose nine digits of a second Python stores six."""
    match = re.fullmatch(r"(.{19})(?:\.(\d+))?(.+)", text)
    zone = "+00:00" if match[3] == "Z" else match[3]
    return datetime.fromisoformat(f"{match[1]}.{(match[2] or '')[:6].ljust(6, '0')}{zone}")


if __name__ == "__main__":
    sys.exit(main())
