"""How the agent fares, as ``GET /health`` says it: a value that the composition gives to `web`."""

from __future__ import annotations

import attrs

READY = "ready"
DISK_FULL = "disk-full"


@attrs.frozen
class Protections:
    """Which of several ways is in force here: ``processes``, what ends a load test's processes."""

    processes: str = "process-group"


@attrs.frozen
class Health:
    """``ready``, or what the agent is instead (``starting``, ``disk-full``, …) and why.

    `notices` are what an operator should know of the state that was found at the start.
    """

    status: str = READY
    reason: str | None = None
    protections: Protections = Protections()
    notices: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether jobs are taken."""
        return self.status == READY
