"""Health and readiness as values: what ``/health`` shows."""

from __future__ import annotations

import attrs

from goloagent.outputs.status import CollectorStatus

READY = "ready"
STARTING = "starting"
UNREADY = "unready"


@attrs.frozen
class Protections:
    """What is in force here.

    Args:
        processes: what ends a load test's processes.
        files: what keeps load tests from the agent's files: `landlock`, or their `owner` alone.
        run_as: the user that load tests run as.
        token: whether every request needs the token.
        min_free_bytes: what must stay free on the disks.
    """

    processes: str = "process-group"
    files: str = "owner"
    run_as: str = ""
    token: bool = False
    min_free_bytes: int = 0


@attrs.frozen
class Health:
    """``ready``, or what the agent is instead (``starting``, ``disk-full``, …) and why.

    The faults of the host are in `goloagent.core.host_fault`.

    `notices` are what an operator should know of the state that was found at the start, and
    `collector` is where results go.
    """

    status: str = READY
    reason: str | None = None
    protections: Protections = Protections()
    notices: tuple[str, ...] = ()
    collector: CollectorStatus = attrs.Factory(CollectorStatus)

    @property
    def ready(self) -> bool:
        """Whether jobs are taken."""
        return self.status == READY
