"""The health of the agent."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from goloagent.host.readiness import READY, UNREADY, Health
from goloagent.http.api.endpoint import Response, endpoint
from goloagent.http.server.request import Request


@attrs.frozen
class HealthRoutes:
    """``/health``."""

    health: Callable[[], Health]

    @endpoint(
        "GET",
        "/health",
        {
            200: Response("The agent is ready.", Health),
            503: Response("The agent is not ready, and why.", Health),
        },
        token_optional=True,
    )
    def get_health(self, request: Request) -> bytes:
        """Report whether the agent accepts jobs, and why not.

        Without the token, programs on this host get `{"status": "ready"}` or `"unready"` only.
        """
        health = self.health()
        value: object = health
        if request.status_only:
            value = {"status": READY if health.ready else UNREADY}
        return request.json_response(200 if health.ready else 503, value)
