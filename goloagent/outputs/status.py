"""The state of a delivery and of the collector, as the API shows them."""

from __future__ import annotations

from datetime import datetime

import attrs

from goloagent.core.output_schemes import RESULT

OK = "ok"
RETRYING = "retrying"
HOLDING = "holding"
NONE = "none"
"""There is no output."""
UNKNOWN = "unknown"
"""Nothing has been sent."""
STATES = (OK, RETRYING, HOLDING)
"""From the best to the worst."""


@attrs.frozen
class DeliveryStatus:
    """The state of one run's delivery to one output.

    Args:
        retry_at: the time of the next attempt.
        complete: the run is over, and the output has everything that it will get.
        lag_seconds: the age of the oldest pending result.
    """

    state: str = OK
    last_error: str | None = None
    retry_at: datetime | None = None
    required: bool = attrs.field(default=True, kw_only=True)
    unit: str = attrs.field(default=RESULT, kw_only=True)
    complete: bool = attrs.field(default=False, kw_only=True)
    lag_seconds: float = attrs.field(default=0.0, kw_only=True)


@attrs.frozen
class JobDelivery:
    """The state of a job's delivery to the collector, and to each of its outputs by name."""

    collector: DeliveryStatus = attrs.Factory(DeliveryStatus)
    outputs: dict[str, DeliveryStatus] = attrs.Factory(dict)


@attrs.frozen
class CollectorStatus:
    """The collector, and whether it accepts results.

    Args:
        url: the collector's; null when there is none, and results are kept as logs.
        state: ``ok``; ``retrying`` or ``holding`` (an operator must act) when it takes nothing;
            ``unknown`` before it was tried; ``none`` without a collector.
        pending: results of all jobs that wait for it.
        since: when `state` began.
        last_error: why it takes nothing.
    """

    url: str | None = None
    state: str = NONE
    pending: int = 0
    since: datetime | None = None
    last_error: str | None = None


@attrs.frozen
class OutputHealth(CollectorStatus):
    """An output, and whether it accepts results; logs stay until a `required` one has them all."""

    required: bool = True
