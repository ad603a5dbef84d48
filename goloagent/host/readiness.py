"""Health and readiness as values: what ``/health`` shows."""

from __future__ import annotations

import attrs

from goloagent.outputs.status import CollectorStatus, OutputHealth

READY = "ready"
STARTING = "starting"
UNREADY = "unready"


@attrs.frozen
class Protections:
    """The protections in force.

    Args:
        processes: the isolation backend.
        files: `landlock`, or `owner` if only file permissions protect the agent's files.
        run_as: the user of load tests.
        token: whether every request needs the token.
        min_free_bytes: the minimum free space of the disks.
    """

    processes: str = "process-group"
    files: str = "owner"
    run_as: str = ""
    token: bool = False
    min_free_bytes: int = 0


@attrs.frozen
class Health:
    """The health of the agent.

    Args:
        status: ``ready``, or another status such as ``starting`` or one of `core.host_fault`.
        reason: why the agent is not ready, as a sentence.
        notices: sentences for the operator, most of them about the start.
        outputs: the state of each output by name, the collector's too.
    """

    status: str = READY
    reason: str | None = None
    protections: Protections = Protections()
    notices: tuple[str, ...] = ()
    collector: CollectorStatus = attrs.Factory(CollectorStatus)
    outputs: dict[str, OutputHealth] = attrs.Factory(dict)

    @property
    def ready(self) -> bool:
        """Whether the agent accepts jobs."""
        return self.status == READY
