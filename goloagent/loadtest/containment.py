"""What keeps a load test's processes together, so that none outlives its job.

Names the ways and finds out which one this machine allows: a way is tried as it will be used,
before the first job, since what a system forbids is known only then.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from enum import Enum

from goloagent.loadtest import launcher, namespace

_PROBE_SECONDS = 10.0


class Containment(Enum):
    """The ways, the surest first; each value is its name to an operator."""

    PID_NAMESPACE = "pid-namespace"
    PROCESS_GROUP = "process-group"


class NotAllowed(Exception):
    """The system does not allow a containment; the message says why."""


def choose(wanted: Containment | None, user: str | None) -> Containment:
    """Return the containment for load tests that run as `user`; None wants the surest there is.

    Raises:
        NotAllowed: it is not to be had, and was asked for by name.
    """
    if wanted is Containment.PROCESS_GROUP:
        return wanted
    refusal = try_namespace(user)
    if refusal is None:
        return Containment.PID_NAMESPACE
    if wanted is not None:
        raise NotAllowed(refusal)
    return Containment.PROCESS_GROUP


def try_namespace(user: str | None) -> str | None:
    """Come as far as executing a program in a namespace; return what prevents it, if anything."""
    plan = {
        "agent": namespace.INIT_PID,
        "program": "",  # no program has this name: that the launcher says so is the success
        "directory": "/",
        "user": user,
        "max_file_bytes": 2**40,
    }
    command = [sys.executable, "-I", "-S", launcher.__file__, json.dumps(plan)]
    redirected = ["/bin/sh", "-c", 'exec "$@" 3>&1 4>/dev/null >/dev/null', "sh"]
    try:
        ended = subprocess.run(
            [*redirected, *namespace.around(os.getpid(), command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    report = json.loads(ended.stdout or b'{"step": "it ended", "error": "without a reason"}')
    return None if report["step"] == "exec" else f"{report['step']}: {report['error']}"
