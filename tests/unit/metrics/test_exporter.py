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

from goloagent.core.job_spec import JobSpec
from goloagent.core.stats.histogram import Histogram
from goloagent.core.timeline import Window
from goloagent.core.verdict import Verdict
from goloagent.jobs.job import Checkpoint, Job, ResultCounts, State
from goloagent.metrics.exporter import Gauges, PrometheusExporter
from goloagent.metrics.output_metrics import OutputStates
from goloagent.outputs.batch import Batch
from goloagent.outputs.sink import Response

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
SPEC = JobSpec("shop", 1, 1, "b")


def verdict(passed: bool) -> Verdict:
    """Return a verdict without thresholds."""
    return Verdict(passed, None if passed else "no-result", None if passed else "None came.", [])


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
    names = gauges.pop("names", ("collector",))
    return PrometheusExporter(clock or Clock(), lambda: NOW, Gauges(**defaults | gauges), names)


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
    job.calls.started, job.calls.ok, job.calls.dropped = 3, 2, 4
    job.restore_results(ResultCounts(read=300, invalid=10, delivered=256, committed=40))
    one.observe(job)
    found = expose(one)
    assert found["golo_agent_calls_started_total"] == 3
    assert found["golo_agent_calls_dropped_total"] == 4
    assert found["golo_agent_calls_scheduled_total"] == 7
    assert found["golo_agent_calls_in_flight"] == 1
    assert found["golo_agent_results_valid_total"] == 290
    assert found["golo_agent_results_pending"] == 34
    assert found["golo_agent_delivery_lag_bytes"] == 60
    assert found["golo_agent_batch_results_sum"] == 256
    assert found["golo_agent_batch_results_count"] == 1


def test_the_load_is_exposed() -> None:
    """Planned load, errors, limits and durations are those of the windows of runs."""
    one = exporter()
    durations, iterations = Histogram(), Histogram()
    durations.record([2_000_000, 40_000_000])
    iterations.record([70_000_000_000])
    window = Window(0, 1, planned=25, errors=2, limited=("ports",))
    one.load.add("closed", window, durations, iterations)
    found = expose(one)
    assert found["golo_agent_planned_users"] == 25
    assert found["golo_agent_planned_rate"] == 0
    assert found["golo_agent_result_errors_total"] == 2
    assert found["golo_agent_generator_limited"] == 1
    assert found['golo_agent_generator_limited_seconds_total{cause="ports"}'] == 1
    assert found['golo_agent_generator_limited_seconds_total{cause="agent-cpu"}'] == 0
    name = "golo_agent_result_duration_seconds"
    assert found[f"{name}_sum"] == pytest.approx(0.042)
    counts = [found[f'{name}_bucket{{le="{le}"}}'] for le in (0.001, 0.0025, 0.025, 0.05, "+Inf")]
    assert [*counts, found[f"{name}_count"]] == [0, 1, 1, 2, 2, 2]
    name = "golo_agent_iteration_duration_seconds"
    assert found[f'{name}_bucket{{le="60.0"}}'] == 0
    assert found[f"{name}_count"] == found[f'{name}_bucket{{le="+Inf"}}'] == 1


def test_the_verdict_of_the_last_job() -> None:
    """It is missing before there is one, and a later one of the same job replaces it."""
    one = exporter()
    name = "golo_agent_last_job_passed"
    jobs = [Job(str(number), JobSpec("shop", 1, 1, "b"), NOW) for number in range(3)]
    for job in jobs:
        one.observe(job)
    assert name not in expose(one)
    for job, passed in zip(jobs, (True, False), strict=False):
        job.state, job.verdict = State.FINISHED, verdict(passed)
        job.lines.read = 1
        one.observe(job)
        assert expose(one)[name] == passed
    jobs[1].verdict = verdict(True)
    assert expose(one)[name] == 1
    jobs[2].state = State.CANCELLED
    one.observe(jobs[2])
    assert expose(one)[name] == 1


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

    async def push(job: Job, batch: Batch, ordinal: int) -> Response:
        clock.advance(0.3)
        return response

    responses = list[Response]()
    batch, job = Batch(0, 3, b"{}\n"), Job("j", SPEC, NOW)
    ensureDeferred(one.instrument(push)(job, batch, 0)).addCallback(responses.append)
    found = expose(one)
    assert responses == [response]
    assert found[f'golo_agent_pushes_total{{outcome="{outcome}"}}'] == 1
    assert found["golo_agent_push_duration_seconds_sum"] == pytest.approx(0.3)
    assert found["golo_agent_batch_size_bytes_sum"] == 4


def test_each_output_has_its_metrics_from_the_start() -> None:
    """Rules find a series for each output of the agent, and none for others."""
    found = expose(exporter(names=("collector", "influx")))
    for name in ("collector", "influx"):
        label = f'{{output="{name}"}}'
        for metric in ("delivered_total", "rejected_total", "abandoned_total", "pending"):
            assert found[f"golo_agent_output_{metric}{label}"] == 0
        assert found[f"golo_agent_output_lag_seconds{label}"] == 0
        assert found[f"golo_agent_output_up{label}"] == 1
        assert found[f'golo_agent_output_state{{output="{name}",state="ok"}}'] == 1
        assert found[f'golo_agent_output_state{{output="{name}",state="holding"}}'] == 0
        assert found[f'golo_agent_output_pushes_total{{outcome="taken",output="{name}"}}'] == 0
        assert found[f'golo_agent_output_push_seconds_count{{output="{name}"}}'] == 0


def test_the_results_of_each_output_are_counted() -> None:
    """Those of an output that the agent does not have any more are not exposed."""
    clock = Clock()
    states = OutputStates(lambda: {"influx": "retrying"}, lambda: {"influx": "holding"})
    one = exporter(clock, names=("collector", "influx"), outputs=states)
    job = Job("j", SPEC, NOW, State.RUNNING, started_at=NOW, has_log=True)
    job.outputs = {"influx": Checkpoint(), "old": Checkpoint()}
    one.observe(job)
    job.lines.read = 10
    one.counters.poll()
    clock.advance(7)
    job.checkpoint.delivered = 10
    job.outputs["influx"].delivered, job.outputs["influx"].rejected = 3, 1
    found = expose(one)
    assert found['golo_agent_output_delivered_total{output="collector"}'] == 10
    assert found['golo_agent_output_pending{output="collector"}'] == 0
    assert found['golo_agent_output_lag_seconds{output="collector"}'] == 0
    assert found['golo_agent_output_delivered_total{output="influx"}'] == 3
    assert found['golo_agent_output_rejected_total{output="influx"}'] == 1
    assert found['golo_agent_output_pending{output="influx"}'] == 6
    assert found['golo_agent_output_lag_seconds{output="influx"}'] == 7
    assert found['golo_agent_output_up{output="influx"}'] == 0
    assert found['golo_agent_output_state{output="influx",state="holding"}'] == 1
    assert found['golo_agent_output_state{output="influx",state="ok"}'] == 0
    assert found["golo_agent_results_delivered_total"] == 10
    assert found["golo_agent_delivery_lag_seconds"] == 0
    assert not [name for name in found if '"old"' in name]
    assert one.counters.job_lag("j", "influx") == 7
    assert one.counters.job_lag("j", "collector") == one.counters.job_lag("k", "influx") == 0


def test_a_push_to_another_output_is_not_the_collectors() -> None:
    """It has the labels of its own."""
    one = exporter(names=("collector", "influx"))

    async def push(job: Job, batch: object, ordinal: int) -> Response:
        return Response(status=503)

    ensureDeferred(one.instrument(push, "influx")(Job("j", SPEC, NOW), object(), 0))
    found = expose(one)
    assert found['golo_agent_output_pushes_total{outcome="retry",output="influx"}'] == 1
    assert found['golo_agent_output_push_seconds_count{output="influx"}'] == 1
    assert found['golo_agent_pushes_total{outcome="retry"}'] == 0


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
