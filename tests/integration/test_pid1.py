"""J7: the agent as process 1 of a container reaps orphans of load tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from signal import Signals

import pytest
from peers.agent import Agent
from peers.programs import Builder
from twisted.internet import reactor, task

# A daemon whose child ends before it: both become zombies of process 1.
DAEMONS = """
for number in 1 2 3 4 5 6 7 8 9 10; do
    setsid sh -c 'sleep 0.1 & exec sleep 0.2' >/dev/null 2>&1 &
done
exit 3
"""
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
needs_namespace = pytest.mark.skipif(
    subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode != 0,
    reason="no PID namespace can be made here",
)


def children(pid: int) -> dict[int, str]:
    """Return the states of the children of a process."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, *_ = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == pid:
            found[int(stat.parent.name)] = state
    return found


@needs_namespace
async def test_no_zombie_is_left(idle_agent: Agent, script: Builder) -> None:
    """After each job all orphans are reaped, and the job has its own exit code."""
    idle_agent.prefix = NAMESPACE
    idle_agent.options |= {"--containment": "process-group"}
    await idle_agent.start()
    [first] = children(idle_agent.pid)
    for _ in range(3):
        job = await idle_agent.ended(
            await idle_agent.queue("daemons", script(DAEMONS, "/bin/sh"), duration=1)
        )
        assert (job["reason"], job["exit"]) == ("exited", {"code": 3}), job
    for _ in range(200):
        left = children(first)
        if not left:
            break
        await task.deferLater(reactor, 0.05)
    assert left == {}
    # unshare does not forward SIGTERM; a container runtime signals process 1.
    os.kill(first, Signals.SIGTERM)
    assert await idle_agent.crashed() == 0
