"""Odd lines at full speed: they take long to judge, and hold nothing else up meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_twisted
from peers.agent import Agent
from twisted.internet import task

TIMESTAMP = '"timestamp":"2026-01-02T03:04:05Z"'
# What Python makes of each is a line, or some of them; an escaped name is for the plain grammar.
ODD = {
    "short lines": f"""'{{{TIMESTAMP},"\\\\u0061":1}}\\n' * 1000""",
    "good and odd ones": f"""('{{{TIMESTAMP}}}\\n{{{TIMESTAMP},"\\\\u0061":1}}\\n') * 500""",
    "good and bad ones": f"""('{{{TIMESTAMP}}}\\n{{"timestamp":1}}\\n') * 500""",
    "many tokens": f"""'{{{TIMESTAMP},"\\\\u0061":[' + ','.join(['1'] * 520000) + ']}}\\n'""",
    "many objects": f"""'{{{TIMESTAMP},"\\\\u0061":[' + ','.join(['{{}}'] * 340000) + ']}}\\n'""",
    "many names": f"""'{{{TIMESTAMP},"\\\\u0061":0' + ',"a":0' * 170000 + '}}\\n'""",
    "deep nesting": (
        f"""'{{{TIMESTAMP},"\\\\u0061":['"""
        """ + ','.join(['[' * 400 + ']' * 400] * 1200) + ']}\\n'"""
    ),
    "too deep nesting": f"""'{{{TIMESTAMP},"error":' + '[' * 1000000 + '\\n'""",
    "a big number": f"""'{{{TIMESTAMP},"error":' + '1' * 1000000 + '.0e-999999}}\\n'""",
    "escapes": f"""'{{{TIMESTAMP},"\\\\u0061":"' + '\\\\u00e9' * 170000 + '"}}\\n'""",
    "broken UTF-8": f"""'{{{TIMESTAMP},"url":"' + '\\xff' * 1000000 + '"}}\\n'""",
}
LOAD_TEST = """
import sys, threading, time
sys.path.insert(0, {checkout!r})
line = ({line}).encode("latin-1")

def print_on():
    while True:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()

threading.Thread(target=print_on, daemon=True).start()
from goloagent import sdk

def run():
    time.sleep(0.1)

sdk.serve(run)
"""


@pytest.mark.parametrize("line", ODD.values(), ids=[name.replace(" ", "-") for name in ODD])
@pytest_twisted.ensureDeferred
async def test_odd_lines_hold_nothing_up(
    agent: Agent, script: Callable[..., Path], line: str
) -> None:
    """`/health` is answered as ever while they come, and all that was printed is counted."""
    from twisted.internet import reactor

    text = LOAD_TEST.format(checkout=str(Path(__file__).parents[2]), line=line)
    job_id = await agent.queue("odd", script(text), duration=3, users=1)
    await agent.reached(job_id, "running")
    seconds = []
    while (await agent.job(job_id))["state"] == "running":
        begin = reactor.seconds()
        assert (await agent.request("GET", "/health")).status == 200
        seconds.append(reactor.seconds() - begin)
        await task.deferLater(reactor, 0.01)
    seconds.sort()
    p99 = seconds[int(0.99 * (len(seconds) - 1))]
    job = await agent.ended(job_id, 90)
    print(
        f"odd lines: of {len(seconds)} /health 99 % in {1000 * p99:.0f} ms, the slowest in "
        f"{1000 * seconds[-1]:.0f} ms; {job['results']['read']} lines, job {job['state']}"
    )
    assert len(seconds) > 5
    assert p99 < 0.3, seconds  # 0.1 s where two cores are there for it
    assert job["state"] == "finished", job
