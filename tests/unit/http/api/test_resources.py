"""The job resource."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from goloagent.core.job_spec import JobSpec
from goloagent.core.spans import Span
from goloagent.core.stats.cpu_usage import CpuUsage, RunCpu
from goloagent.core.stats.summary import ErrorSummary
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
from goloagent.outputs.status import DeliveryStatus, JobDelivery

SPEC = JobSpec(name="shop", users=25, duration_seconds=10, binary="b-1")
QUEUED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def job_resource(job: Job, delivery: JobDelivery = JobDelivery()) -> Any:  # noqa: B008
    """Return the encoded resource."""
    return msgspec.json.decode(msgspec.json.encode(web.job_resource(job, delivery)))


def test_the_outputs_of_a_job() -> None:
    """Each has its account; one of a queued job has no results yet."""
    job = Job("j", SPEC, QUEUED_AT, State.FINISHED, lines=LineCounts(10, 2))
    job.outputs = {"influx": Checkpoint(3, 1, 2, 700, required=False)}
    status = DeliveryStatus(
        "holding", "404", QUEUED_AT, required=False, unit="second", lag_seconds=1.5
    )
    resource = job_resource(job, JobDelivery(outputs={"influx": status, "new": DeliveryStatus()}))
    assert resource["outputs"] == {
        "influx": {
            "state": "holding",
            "required": False,
            "unit": "second",
            "complete": False,
            "delivered": 3,
            "rejected": 1,
            "pending": 2,
            "abandoned": 2,
            "lag_seconds": 1.5,
            "last_error": "404",
            "retry_at": "2026-01-02T03:04:05Z",
        },
        "new": {
            "state": "ok",
            "required": True,
            "unit": "result",
            "complete": False,
            "delivered": 0,
            "rejected": 0,
            "pending": 0,
            "abandoned": 0,
            "lag_seconds": 0.0,
            "last_error": None,
            "retry_at": None,
        },
    }
    assert (resource["results"]["valid"], resource["results"]["pending"]) == (8, 8)


def test_a_queued_job() -> None:
    """It has all members, empty if they are unknown."""
    assert job_resource(Job(id="j-1", spec=SPEC, queued_at=QUEUED_AT)) == {
        "id": "j-1",
        "name": "shop",
        "binary": "b-1",
        "users": 25,
        "rate": 0.0,
        "duration": 10,
        "drive": "netrpc",
        "tags": {},
        "run": None,
        "state": "queued",
        "reason": None,
        "message": None,
        "queued_at": "2026-01-02T03:04:05Z",
        "started_at": None,
        "ended_at": None,
        "exit": None,
        "calls": {"scheduled": 0, "dropped": 0, "started": 0, "ok": 0, "failed": 0, "in_flight": 0},
        "results": {
            "read": 0,
            "valid": 0,
            "invalid": 0,
            "delivered": 0,
            "rejected": 0,
            "pending": 0,
            "abandoned": 0,
        },
        "verdict": None,
        "delivery": {"state": "ok", "last_error": None, "retry_at": None},
        "stderr_tail": "",
        "invalid_line": None,
        "warnings": [],
        "limited": [],
        "cpu": None,
        "load": {
            "model": "closed",
            "start": 25,
            "stages": [{"users": 25, "duration": 10}],
            "arrivals": None,
            "max_in_flight": None,
            "when_full": None,
            "graceful_stop": None,
            "seed": None,
        },
        "share": None,
        "args": [],
        "env": [],
        "files": [],
        "thresholds": {},
        "traceparent": None,
        "outputs": {},
        "errors": [],
    }


def test_what_was_requested() -> None:
    """The optional members are there, but of variables only the names."""
    members = {
        "load": {"stages": [{"rate": 2, "duration": 0}, {"rate": 8, "duration": "9s"}], "start": 1},
        "args": ["-c"],
        "env": {"TOKEN": "s3cret"},
        "files": [{"name": "a", "binary": "f", "split": "lines", "header": True}],
        "tags": {"release": "1"},
        "thresholds": {"errors": "rate<1%"},
        "share": {"index": 1, "of": 2},
        "run": {"id": "r"},
    }
    spec = JobSpec("shop", 0, 9, "b-1", members)
    resource = job_resource(Job(id="j-1", spec=spec, queued_at=QUEUED_AT))
    assert resource["load"] == {
        "model": "open",
        "start": 1,
        "stages": [{"rate": 2, "duration": 0}, {"rate": 8, "duration": 9}],
        "arrivals": "even",
        "max_in_flight": 5000,
        "when_full": "drop",
        "graceful_stop": None,
        "seed": 0,
    }
    assert (resource["users"], resource["rate"]) == (0, 8)
    same = ("args", "files", "tags", "thresholds", "share", "run")
    assert {name: resource[name] for name in same} == {name: members[name] for name in same}
    assert resource["env"] == ["TOKEN"]
    assert "s3cret" not in str(resource)


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
        limited=(Span("ports", 2.0, 3.5),),
        cpu=RunCpu(CpuUsage(0.1, 0.25), None),
        errors=(ErrorSummary(method="", url="", status=0, message="refused", count=3),),
        calls=CallCounts(started=10, ok=5, failed=3),
        lines=LineCounts(read=9, invalid=2),
        checkpoint=Checkpoint(delivered=4, rejected=1, abandoned=1, committed=700),
    )
    status = DeliveryStatus("retrying", "503", QUEUED_AT + timedelta(seconds=30))
    delivery = JobDelivery(status)
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
    assert resource["limited"] == [{"cause": "ports", "from": 2.0, "to": 3.5}]
    assert resource["cpu"] == {"agent": {"mean": 0.1, "max": 0.25}, "load_test": None}
    only_here = set(web.JobResource.__struct_fields__) - set(web.JobSummary.__struct_fields__)
    assert resource["errors"] == [
        {"method": "", "url": "", "status": 0, "message": "refused", "count": 3}
    ]
    assert summary == {name: value for name, value in resource.items() if name not in only_here}
    assert resource["started_at"] == "2026-01-02T03:04:05Z"
    assert resource["ended_at"] == "2026-01-02T03:04:06.500000Z"
    assert resource["calls"] == {
        "scheduled": 10,
        "dropped": 0,
        "started": 10,
        "ok": 5,
        "failed": 3,
        "in_flight": 2,
    }
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
