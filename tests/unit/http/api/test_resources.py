"""The job resource."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from goloagent.http.api import resources as web
from goloagent.jobs.job import (
    CallCounts,
    Checkpoint,
    Exit,
    FailureReason,
    InvalidLine,
    Job,
    LineCounts,
    State,
)
from goloagent.jobs.spec import JobSpec
from goloagent.outputs.status import DeliveryStatus

SPEC = JobSpec(name="shop", users=25, duration_seconds=10, binary="b-1")
QUEUED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def job_resource(job: Job, delivery: DeliveryStatus = DeliveryStatus()) -> Any:  # noqa: B008
    """Return the encoded resource."""
    return msgspec.json.decode(msgspec.json.encode(web.job_resource(job, delivery)))


def test_a_queued_job() -> None:
    """It has all members, empty if they are unknown."""
    assert job_resource(Job(id="j-1", spec=SPEC, queued_at=QUEUED_AT)) == {
        "id": "j-1",
        "name": "shop",
        "binary": "b-1",
        "users": 25,
        "duration": 10,
        "state": "queued",
        "reason": None,
        "message": None,
        "queued_at": "2026-01-02T03:04:05Z",
        "started_at": None,
        "ended_at": None,
        "exit": None,
        "calls": {"started": 0, "ok": 0, "failed": 0, "in_flight": 0},
        "results": {
            "read": 0,
            "valid": 0,
            "invalid": 0,
            "delivered": 0,
            "rejected": 0,
            "pending": 0,
            "abandoned": 0,
        },
        "delivery": {"state": "ok", "last_error": None, "retry_at": None},
        "stderr_tail": "",
        "invalid_line": None,
        "warnings": [],
    }


def test_a_failed_job() -> None:
    """It has the reason, the message, times in UTC, counts and derived counts."""
    job = Job(
        id="j-1",
        spec=SPEC,
        queued_at=QUEUED_AT,
        state=State.FAILED,
        cause=FailureReason("exited", "the load test exited with code 3"),
        started_at=QUEUED_AT.astimezone(timezone(timedelta(hours=2))),
        ended_at=QUEUED_AT + timedelta(seconds=1.5),
        exit=Exit(code=3),
        stderr_tail="one\ntwo",
        invalid_line=InvalidLine(7, "timestamp: it is missing", "{}"),
        warnings=("2 of 9 lines are no results.",),
        calls=CallCounts(started=10, ok=5, failed=3),
        lines=LineCounts(read=9, invalid=2),
        checkpoint=Checkpoint(delivered=4, rejected=1, abandoned=1, committed=700),
    )
    delivery = DeliveryStatus("retrying", "503", QUEUED_AT + timedelta(seconds=30))
    resource = job_resource(job, delivery)
    assert (resource["state"], resource["reason"], resource["message"]) == (
        "failed",
        "exited",
        "the load test exited with code 3",
    )
    assert resource["stderr_tail"] == "one\ntwo"
    summary = msgspec.json.decode(msgspec.json.encode(web.job_summary(job, delivery)))
    assert resource["invalid_line"] == {
        "number": 7,
        "reason": "timestamp: it is missing",
        "text": "{}",
    }
    assert resource["warnings"] == ["2 of 9 lines are no results."]
    only_here = {"stderr_tail", "invalid_line", "warnings"}
    assert summary == {name: value for name, value in resource.items() if name not in only_here}
    assert resource["started_at"] == "2026-01-02T03:04:05Z"
    assert resource["ended_at"] == "2026-01-02T03:04:06.500000Z"
    assert resource["calls"] == {"started": 10, "ok": 5, "failed": 3, "in_flight": 2}
    assert resource["results"] == {
        "read": 9,
        "valid": 7,
        "invalid": 2,
        "delivered": 4,
        "rejected": 1,
        "pending": 1,
        "abandoned": 1,
    }
    assert resource["delivery"] == {
        "state": "retrying",
        "last_error": "503",
        "retry_at": "2026-01-02T03:04:35Z",
    }


@pytest.mark.parametrize(
    ("end", "expected"),
    [(Exit(code=0), {"code": 0}), (Exit(signal="SIGKILL"), {"signal": "SIGKILL"})],
)
def test_an_exit_is_a_code_or_a_signal(end: Exit, expected: dict[str, object]) -> None:
    """An exit shows one of them, code 0 included."""
    assert job_resource(Job("j", SPEC, QUEUED_AT, exit=end))["exit"] == expected
