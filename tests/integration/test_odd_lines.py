"""Odd lines at full speed take long to parse, and delay nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from peers.agent import Agent
from peers.programs import Builder
from peers.waiting import seconds_without_cpu
from twisted.internet import reactor, task

REQUESTS = 40
TIMESTAMP = '"timestamp":"2026-01-02T03:04:05Z"'
# Python expressions of one or more lines.
ODD = {
    "valid and invalid": f"""('{{{TIMESTAMP}}}\\n{{"timestamp":1}}\\n') * 500""",
    "many objects": f"""'{{{TIMESTAMP},"x":[' + ','.join(['{{}}'] * 340000) + ']}}\\n'""",
    "deep nesting": (
        f"""'{{{TIMESTAMP},"x":['""" """ + ','.join(['[' * 400 + ']' * 400] * 1200) + ']}\\n'"""
    ),
    "broken UTF-8": f"""'{{{TIMESTAMP},"url":"' + '\\xff' * 1000000 + '"}}\\n'""",
}
LOAD_TEST = """
import sys, threading, time
sys.path.insert(0, {checkout!r})
line = ({line}).encode("latin-1")

def print_lines():
    while True:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()

threading.Thread(target=print_lines, daemon=True).start()
from goloagent import sdk

def run():
    time.sleep(0.1)

sdk.serve(run)
"""


@pytest.mark.parametrize("line", ODD.values(), ids=[name.replace(" ", "-") for name in ODD])
async def test_odd_lines_delay_nothing(idle_agent: Agent, script: Builder, line: str) -> None:
    """`/health` responds as fast as without them, and every line is counted."""
    agent = idle_agent
    agent.options["--output-timeout"] = "1"  # because the load test prints without a pause
    await agent.start()
    text = LOAD_TEST.format(checkout=str(Path(__file__).parents[2]), line=line)
    job_id = await agent.queue("odd", script(text), duration=600, users=1)
    await agent.reached(job_id, "running")
    seconds = []

    def without_cpu() -> float:
        return sum(map(seconds_without_cpu, (agent.pid, os.getpid())))

    while len(seconds) < REQUESTS:
        begin, lost = reactor.seconds(), without_cpu()
        assert (await agent.request("GET", "/health")).status == 200
        seconds.append(reactor.seconds() - begin - (without_cpu() - lost))
        await task.deferLater(reactor, 0.05)
    await agent.end_load(job_id)
    seconds.sort()
    p99 = seconds[int(0.99 * (len(seconds) - 1))]
    job = await agent.ended(job_id, 90)
    print(
        f"odd lines: of {len(seconds)} /health 99 % in {1000 * p99:.0f} ms, the slowest in "
        f"{1000 * seconds[-1]:.0f} ms; {job['results']['read']} lines, job {job['state']}"
    )
    assert p99 < 0.3, seconds
    assert job["state"] == "finished", job
