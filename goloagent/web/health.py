"""How the agent fares, as ``GET /health`` says it: a value that the composition gives to `web`."""

from __future__ import annotations

import attrs

READY = "ready"


@attrs.frozen
class Health:
    """``ready``, or what the agent is instead (``starting``, ``stopping``, …) and why."""

    status: str = READY
    reason: str | None = None

    @property
    def ready(self) -> bool:
        """Whether jobs are taken."""
        return self.status == READY
