"""When the load starts: ``--start-in`` and ``--at``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from goloagent.client.errors import ClientError
from goloagent.core.duration import parse_duration


def start_time(options: Mapping[str, Any], now: datetime) -> datetime | None:
    """Return the time, or None for now.

    Raises:
        ClientError: it is none, or in the past.
    """
    if "start_in" in options and "at" in options:
        raise ClientError("--start-in and --at exclude each other: remove one of them")
    if "start_in" in options:
        try:
            return now + timedelta(seconds=parse_duration(str(options["start_in"])))
        except ValueError as error:
            raise ClientError(f"--start-in: {error}") from None
    if "at" not in options:
        return None
    text = str(options["at"])
    try:
        if re.fullmatch(r"\d\d:\d\d(:\d\d)?", text):
            clock = datetime.strptime(text[:5], "%H:%M")
            at = now.astimezone().replace(
                hour=clock.hour, minute=clock.minute, second=int(text[6:] or 0), microsecond=0
            )
            return at if at > now else at + timedelta(days=1)
        at = datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone()
    except ValueError:
        raise ClientError(
            f"--at {text}: write a time such as 09:00 or 2026-12-01T09:00:00+01:00"
        ) from None
    if at < now:
        raise ClientError(f"--at {text}: it is in the past")
    return at
