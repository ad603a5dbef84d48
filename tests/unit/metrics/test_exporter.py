"""The exposition of metrics: its format, and its values."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers.exposition import complaints, samples
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from goloagent.jobs.job import Job, ResultCounts, State
from goloagent.jobs.spec import JobSpec
from goloagent.metrics.exporter import Gauges, PrometheusExporter
from goloagent.outputs.sink import Response

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)


def fail(*_: object) -> Any:
    """Raise an error of the disk."""
    raise OSError(5, "Input/output error")


def exporter(clock: Clock | None = None, **gauges: Any) -> PrometheusExporter:
    """Return the exporter of an idle agent."""
    defaults: dict[str, Any] = {
        "ready": lambda: True,
        "jobs": lambda: {State.FINISHED: 3},
        "delivery": lambda: "ok",
        "log_bytes": lambda job: 100,
        "free_bytes": lambda: {"logs": 5, "state": 6},
    }
    return PrometheusExporter(clock or Clock(), lambda: NOW, Gauges(**defaults | gauges))


def expose(exporter: PrometheusExporter) -> dict[str, float]:
    """Return all samples by name and labels."""
    return samples(exporter.expose("")[1].decode())


def test_naming_conventions() -> None:
    """Each metric is unique and has a help text, a base unit and the suffix of its type."""
    assert complaints(exporter().expose("")[1].decode()) == []


def test_a_job_is_counted() -> None:
    """The counts of the job resource are totals; a delivered batch is in the histogram."""
    one = exporter()
    job = Job("j", JobSpec("shop", 1, 1, "b"), NOW, state=State.RUNNING)
    one.observe(job)
    job.calls.started, job.calls.ok = 3, 2
    job.restore_results(ResultCounts(read=300, invalid=10, delivered=256, committed=40))
    one.observe(job)
    found = expose(one)
    assert found["golo_agent_calls_started_total"] == 3
    assert found["golo_agent_calls_in_flight"] == 1
    assert found["golo_agent_results_valid_total"] == 290
    assert found["golo_agent_results_pending"] == 34
    assert found["golo_agent_delivery_lag_bytes"] == 60
    assert found["golo_agent_batch_results_sum"] == 256
    assert found["golo_agent_batch_results_count"] == 1


def test_jobs_add_no_series() -> None:
    """No label has the id or name of a job."""
    one = exporter()
    before = set(expose(one))
    for number in range(3):
        one.observe(Job(f"id-{number}", JobSpec(f"name-{number}", 1, 1, "b"), NOW))
    assert set(expose(one)) == before


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (Response(status=204), "taken"),
        (Response(status=503), "retry"),
        (Response(error="no answer: refused"), "retry"),
        (Response(status=413), "divide"),
        (Response(status=401), "hold"),
    ],
)
def test_a_push_is_timed_and_classified(response: Response, outcome: str) -> None:
    """Duration, size and outcome are counted; the response is returned."""
    clock = Clock()
    one = exporter(clock)

    async def push(name: str, key: str, body: bytes) -> Response:
        clock.advance(0.3)
        return response

    responses = list[Response]()
    ensureDeferred(one.instrument(push)("shop", "j/0-9", b"[{}]")).addCallback(responses.append)
    found = expose(one)
    assert responses == [response]
    assert found[f'golo_agent_pushes_total{{outcome="{outcome}"}}'] == 1
    assert found["golo_agent_push_duration_seconds_sum"] == pytest.approx(0.3)
    assert found["golo_agent_batch_size_bytes_sum"] == 4


def test_uploads_syncs_and_loop_lag_are_counted() -> None:
    """Each exporter has its own registry."""
    one = exporter()
    one.count_upload_bytes(1000)
    one.count_upload_bytes(1)
    one.count_sync_failure()
    one.observe_loop_lag(0.04)
    found = expose(one)
    assert expose(exporter())["golo_agent_upload_bytes_total"] == 0
    assert found["golo_agent_upload_bytes_total"] == 1001
    assert found["golo_agent_sync_failures_total"] == 1
    assert found['golo_agent_event_loop_lag_seconds_bucket{le="0.025"}'] == 0
    assert found['golo_agent_event_loop_lag_seconds_bucket{le="0.05"}'] == 1


@pytest.mark.parametrize(
    ("gauge", "missing"),
    [("jobs", "golo_agent_jobs"), ("free_bytes", "golo_agent_disk_free_bytes")],
)
def test_a_gauge_that_fails_is_omitted(gauge: str, missing: str) -> None:
    """An error of the disk omits its metric and no other."""
    whole = {name.partition("{")[0] for name in expose(exporter())}
    rest = {name.partition("{")[0] for name in expose(exporter(**{gauge: fail}))}
    assert whole - rest == {missing}


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0; "),
    ],
)
def test_the_format_is_negotiated(accept: str, content_type: str) -> None:
    """A client that accepts OpenMetrics gets it, others the text format."""
    chosen, body = exporter().expose(accept)
    assert chosen.startswith(content_type)
    assert body.endswith(b"# EOF\n") == ("openmetrics" in chosen)


EXPORTER = exporter()


@given(
    st.one_of(
        st.text(),
        st.builds(
            "{}; version={};escaping={}".format,
            st.sampled_from(["text/plain", "application/openmetrics-text"]),
            st.text() | st.from_regex(r"\d\.\d\.\d", fullmatch=True),
            st.text() | st.sampled_from(["allow-utf-8", "dots", "values"]),
        ),
    )
)
def test_any_accept_header(accept: str) -> None:
    """There is always an exposition."""
    assert b"ready 1.0" in EXPORTER.expose(accept)[1]
