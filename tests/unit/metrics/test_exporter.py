"""What is exposed: by the rules of Prometheus, in the format asked for, whatever is broken."""

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


def broken(*_: object) -> Any:
    """Fail as a disk does."""
    raise OSError(5, "Input/output error")


def meter(clock: Clock | None = None, **present: Any) -> PrometheusExporter:
    """Return a meter of an idle agent."""
    asked: dict[str, Any] = {
        "ready": lambda: True,
        "jobs": lambda: {State.FINISHED: 3},
        "delivery": lambda: "ok",
        "log_bytes": lambda job: 100,
        "free_bytes": lambda: {"logs": 5, "state": 6},
    }
    return PrometheusExporter(clock or Clock(), lambda: NOW, Gauges(**asked | present))


def exposed(of: PrometheusExporter) -> dict[str, float]:
    """Return all samples by their name and labels."""
    return samples(of.expose("")[1].decode())


def test_it_is_exposed_by_the_rules() -> None:
    """Each metric has a help text, a base unit and the suffix of its type, and is there once."""
    text = meter().expose("")[1].decode()
    assert complaints(text) == []


def test_two_meters_do_not_meet() -> None:
    """Each has a registry of its own."""
    one, other = meter(), meter()
    one.count_upload_bytes(7)
    assert exposed(one)["golo_agent_upload_bytes_total"] == 7
    assert exposed(other)["golo_agent_upload_bytes_total"] == 0


def test_a_job_is_counted() -> None:
    """The counts of the job resource are totals, and each batch taken is in the histogram."""
    one = meter()
    job = Job("j", JobSpec("shop", 1, 1, "b"), NOW, state=State.RUNNING)
    one.observe(job)
    job.calls.started, job.calls.ok = 3, 2
    job.restore_results(ResultCounts(read=300, invalid=10, delivered=256, committed=40))
    one.observe(job)
    found = exposed(one)
    assert found["golo_agent_calls_started_total"] == 3
    assert found["golo_agent_calls_in_flight"] == 1
    assert found["golo_agent_results_valid_total"] == 290
    assert found["golo_agent_results_pending"] == 34
    assert found["golo_agent_delivery_lag_bytes"] == 60
    assert found["golo_agent_batch_results_sum"] == 256
    assert found["golo_agent_batch_results_count"] == 1


def test_no_label_tells_of_a_job() -> None:
    """Neither id nor name nor URL of a job is exposed, so that series stay few."""
    one = meter()
    before = set(exposed(one))
    for number in range(3):
        one.observe(Job(f"id-{number}", JobSpec(f"name-{number}", 1, 1, "b"), NOW))
    assert set(exposed(one)) == before


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Response(status=204), "taken"),
        (Response(status=503), "retry"),
        (Response(error="no answer: refused"), "retry"),
        (Response(status=413), "divide"),
        (Response(status=401), "hold"),
    ],
)
def test_a_push_is_timed_and_judged(answer: Response, outcome: str) -> None:
    """Its duration, its size and what its answer means are counted; the answer is passed on."""
    clock = Clock()
    one = meter(clock)

    async def push(name: str, key: str, body: bytes) -> Response:
        clock.advance(0.3)
        return answer

    given = list[Response]()
    ensureDeferred(one.instrument(push)("shop", "j/0-9", b"[{}]")).addCallback(given.append)
    found = exposed(one)
    assert given == [answer]
    assert found[f'golo_agent_pushes_total{{outcome="{outcome}"}}'] == 1
    assert found["golo_agent_push_duration_seconds_sum"] == pytest.approx(0.3)
    assert found["golo_agent_batch_size_bytes_sum"] == 4


def test_uploads_syncs_and_lateness_are_counted() -> None:
    """What the rooms tell is what is exposed."""
    one = meter()
    one.count_upload_bytes(1000)
    one.count_upload_bytes(1)
    one.count_sync_failure()
    one.observe_loop_lag(0.04)
    found = exposed(one)
    assert found["golo_agent_upload_bytes_total"] == 1001
    assert found["golo_agent_sync_failures_total"] == 1
    assert found['golo_agent_event_loop_lag_seconds_bucket{le="0.025"}'] == 0
    assert found['golo_agent_event_loop_lag_seconds_bucket{le="0.05"}'] == 1


@pytest.mark.parametrize(
    ("question", "missing"),
    [("jobs", "golo_agent_jobs"), ("free_bytes", "golo_agent_disk_free_bytes")],
)
def test_what_cannot_be_known_is_left_out(question: str, missing: str) -> None:
    """A disk that fails costs the one metric that it would answer, and no other."""
    whole = {name.partition("{")[0] for name in exposed(meter())}
    rest = {name.partition("{")[0] for name in exposed(meter(**{question: broken}))}
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
    """Whoever accepts OpenMetrics gets it, everybody else the text format."""
    given, body = meter().expose(accept)
    assert given.startswith(content_type)
    assert body.endswith(b"# EOF\n") == ("openmetrics" in given)


METER = meter()


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
def test_no_accept_breaks_it(accept: str) -> None:
    """Whatever is accepted, there is an exposition."""
    assert b"ready 1.0" in METER.expose(accept)[1]
