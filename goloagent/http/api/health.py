"""Health of the agent over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from goloagent.host.readiness import READY, UNREADY, Health
from goloagent.http.api.endpoint import Response, endpoint
from goloagent.http.server.request import Request


@attrs.frozen
class HealthRoutes:
    """``/health``, as `health` says it."""

    health: Callable[[], Health]

    @endpoint(
        "GET",
        "/health",
        {
            200: Response("The agent is ready.", Health),
            503: Response("It is not, and why.", Health),
        },
        token_optional=True,
    )
    def get_health(self, request: Request) -> bytes:
        """Say whether the agent takes jobs, and why not.

        Without the token, programs on this host get `{"status": "ready"}` or `"unready"` alone.
        """
        health = self.health()
        value: object = health
        if request.status_only:
            value = {"status": READY if health.ready else UNREADY}
        return request.json_response(200 if health.ready else 503, value)
