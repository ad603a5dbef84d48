"""The state of a delivery and of the collector, as the API shows them."""

from __future__ import annotations

from datetime import datetime

import attrs

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
    """The state of one run's delivery, its last error, and the time of the next attempt."""

    state: str = OK
    last_error: str | None = None
    retry_at: datetime | None = None


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
