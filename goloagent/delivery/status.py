"""How the delivery of one run's results to one output goes, as the API shows it."""

from __future__ import annotations

from datetime import datetime

import attrs

OK = "ok"
RETRYING = "retrying"
HOLDING = "holding"
NONE = "none"
"""There is no output."""
STATES = (OK, RETRYING, HOLDING)
"""From the best to the worst."""


@attrs.frozen
class DeliveryStatus:
    """``ok``, ``retrying``, ``holding`` or ``none``; the last error, and the next attempt."""

    state: str = OK
    last_error: str | None = None
    retry_at: datetime | None = None
