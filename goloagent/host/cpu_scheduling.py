"""How the kernel is to share the processors between the agent and the load that it drives."""

from __future__ import annotations

import os

from twisted.logger import Logger

_log = Logger()


def use_batch_scheduling() -> None:
    """Interrupt nobody any more when something comes for the agent.

    By `SCHED_BATCH` a thread that wakes up waits until whoever runs has had his turn, while its
    share stays the same. On processors that the load keeps busy, replies and results gather for
    that moment, and an event of the reactor serves more of them; on idle ones nothing changes.
    For this thread and those that it starts, and not for load tests: `sandbox.launcher` undoes it.
    A policy that somebody else chose is kept.
    """
    try:
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    # Not every sandbox has more than one policy, and not every C library the calls.
    except (OSError, AttributeError) as error:
        _log.warn("the agent may interrupt the load that it drives: {error}", error=error)
