"""The CPU scheduling policy of the agent, which shares processors with the load it drives."""

from __future__ import annotations

import os

from twisted.logger import Logger

_log = Logger()


def use_batch_scheduling() -> None:
    """Set `SCHED_BATCH`, so that the agent does not preempt the load, unless a policy is set.

    A thread that wakes up waits for the running thread's time slice. On busy processors replies and
    results are then handled in larger groups; on idle ones nothing changes. It applies to this
    thread and those that it starts; `sandbox.launcher` resets it for load tests.
    """
    try:
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    # Some sandboxes have only one policy, and some C libraries lack the calls.
    except (OSError, AttributeError) as error:
        _log.warn("cannot set SCHED_BATCH, so the agent may preempt the load: {error}", error=error)
