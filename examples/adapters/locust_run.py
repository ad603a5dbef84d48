#!/usr/bin/env python3
"""Run Locust as a load test of golo: each request of its users is a result.

The arguments are Locust's own: ``-f locustfile.py --host https://staging.example``. By default it
starts GOLO_USERS users at once and ends after GOLO_DURATION; arguments and LOCUST_* variables win.
The job has ``"drive": "self"``. Locust's statistics are printed to stderr.
"""

from __future__ import annotations

import math
import os
import sys
from datetime import datetime, timezone

# First, because it replaces the standard library's blocking functions.
import locust
import locust.main

from goloagent import sdk


def on_request(
    request_type: str,
    name: str,
    response_time: float,
    response_length: int | None,
    response: object = None,
    exception: BaseException | str | None = None,
    start_time: float | None = None,
    url: str | None = None,
    **_: object,
) -> None:
    """Report a request.

    Args:
        name: the path, or the user's name for a group of URLs, which then is the URL of the result.
        response_time: milliseconds.
        exception: the failure of the request, or by ``catch_response`` of its content.
    """
    seconds = (response_time or 0) / 1000
    ended = None if start_time is None else start_time + seconds
    sdk.report(
        method=request_type,
        url=url if url and url.endswith(name) else name,
        status=getattr(response, "status_code", 0) or 0,
        size=-1 if response_length is None else response_length,
        duration_seconds=seconds,
        error=exception if isinstance(exception, BaseException) else exception and str(exception),
        sequence_id="",
        timestamp=None if ended is None else datetime.fromtimestamp(ended, timezone.utc),
    )


def on_quitting(environment: locust.env.Environment, **_: object) -> None:
    """Exit with 1 for exceptions of users, not for failed requests, which thresholds judge."""
    if environment.process_exit_code is None:
        environment.process_exit_code = int(bool(environment.runner.exceptions))


def main() -> None:
    """Run Locust in this process."""
    users = os.environ.get("GOLO_USERS", "0")
    if users != "0":
        os.environ.setdefault("LOCUST_USERS", users)
        os.environ.setdefault("LOCUST_SPAWN_RATE", users)
    if seconds := math.ceil(float(os.environ.get("GOLO_DURATION", "0"))):
        os.environ.setdefault("LOCUST_RUN_TIME", f"{seconds}s")
    os.environ.setdefault("LOCUST_HEADLESS", "true")
    locust.events.request.add_listener(on_request)
    locust.events.quitting.add_listener(on_quitting)
    # Only results may be on stdout; the SDK writes them to its descriptor.
    sys.stdout = sys.stderr
    locust.main.main()


if __name__ == "__main__":
    main()
