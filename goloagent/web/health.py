"""How the agent fares, as ``GET /health`` says it: a value that the composition gives to `web`."""

from __future__ import annotations

import attrs

READY = "ready"


@attrs.frozen
class Protections:
    """Which of several ways is in force here: ``processes``, what ends a load test's processes."""

    processes: str = "process-group"


@attrs.frozen
class Health:
    """``ready``, or what the agent is instead (``starting``, ``stopping``, …) and why."""

    status: str = READY
    reason: str | None = None
    protections: Protections = Protections()

    @property
    def ready(self) -> bool:
        """Whether jobs are taken."""
        return self.status == READY
