"""How the agent fares: a value that the composition gives to `web`, and the route that tells it."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from goloagent.delivery.availability import CollectorStatus
from goloagent.web.operation import Reply, operation
from goloagent.web.request import Request

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

    The faults of the host are in `goloagent.hostfault`.

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


@attrs.frozen
class HealthRoutes:
    """``/health``, as `health` says it."""

    health: Callable[[], Health]

    @operation(
        "GET",
        "/health",
        {
            200: Reply("The agent is ready.", Health),
            503: Reply("It is not, and why.", Health),
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
        return request.answer(200 if health.ready else 503, value)
