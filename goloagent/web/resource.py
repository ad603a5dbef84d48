"""A job as the API shows it: plain data, to be written as JSON. Knows no HTTP."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import attrs

from goloagent.jobs.job import Exit, Job


def job_resource(job: Job) -> dict[str, Any]:
    """Return the job resource: times in RFC 3339 UTC, durations in seconds."""
    return {
        "id": job.id,
        "name": job.spec.name,
        "binary": job.spec.binary,
        "users": job.spec.users,
        "duration": job.spec.duration_seconds,
        "state": job.state.value,
        "reason": job.cause and job.cause.reason,
        "message": job.cause and job.cause.sentence,
        "queued_at": _time(job.queued_at),
        "started_at": _time(job.started_at),
        "ended_at": _time(job.ended_at),
        "exit": _exit(job.exit),
        "calls": {
            "started": job.calls.started,
            "ok": job.calls.ok,
            "failed": job.calls.failed,
            "in_flight": job.calls.in_flight,
        },
        "results": {
            "read": job.results.read,
            "valid": job.results.valid,
            "invalid": job.results.invalid,
            "delivered": job.results.delivered,
            "rejected": job.results.rejected,
            "pending": job.results.pending,
        },
        "delivery": {
            "state": job.delivery.state,
            "last_error": job.delivery.last_error,
            "retry_at": _time(job.delivery.retry_at),
        },
    }


def _exit(end: Exit | None) -> dict[str, Any] | None:
    """Return the one of code and signal that there is."""
    return attrs.asdict(end, filter=lambda _, value: value is not None) if end else None


def _time(time: datetime | None) -> str | None:
    return time.astimezone(timezone.utc).isoformat().replace("+00:00", "Z") if time else None
