"""The report of a job as one HTML file, while it runs and when it is over."""

from __future__ import annotations

from datetime import timedelta

import pytest
from twisted.internet.defer import Deferred
from unit.http.in_memory import NOW, Agent, Response

from goloagent.core.job_spec import JobSpec
from goloagent.core.stats.histogram import Histogram
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.core.timeline import Times, Window
from goloagent.http.api.report import _Rest
from goloagent.jobs.job import CallCounts, Job, State
from goloagent.report.codec import decode
from goloagent.wal.run_log import RunLogWriter
from goloagent.wal.timeline_file import TimelineFile


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the sleep between histograms."""
    monkeypatch.setattr(_Rest, "__call__", lambda self: None)


def get(agent: Agent, path: str, headers: str = "") -> Response:
    """Return the response to a request."""
    head = f"GET /jobs/{path} HTTP/1.1\r\nHost: localhost:8081\r\n{headers}\r\n"
    return agent.request(head.encode())


def add_job(agent: Agent, name: str = "shop", **members: object) -> Job:
    """Add a job with a log and one second of a timeline."""
    agent.logs.mkdir()
    RunLogWriter.create(agent.logs, name, "one").close()
    job = Job("one", JobSpec(name, 1, 1, "b"), NOW, State.RUNNING, started_at=NOW, has_log=True)
    job.calls = CallCounts(started=3, ok=2)
    agent.store.add(job)
    histogram = Histogram()
    histogram.record([5_000_000, 9_000_000])
    timeline = TimelineFile((agent.logs, name, "one"), NOW, lambda *_: Deferred())
    timeline.append(Window(0.0, 1.0, planned=1, started=3, iteration=Times.of(histogram)))
    timeline.close()
    return job


def test_a_running_job(agent: Agent) -> None:
    """The report is of the time up to now, with its timeline."""
    statistics = RunStatistics()
    statistics.calls.iteration.record([5_000_000, 9_000_000])
    add_job(agent)
    agent.running = lambda job: statistics
    response = get(agent, "one/report.html")
    assert (response.status, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    report = decode(response.body)
    assert (report.state, report.calls.started, report.ended_at) == ("running", 3, None)
    assert report.latency.iteration is not None
    assert report.latency.iteration.count == 2
    [window] = report.timeline
    assert window.iteration is not None
    assert window.iteration.count == 2


def test_a_finished_job(agent: Agent) -> None:
    """The report has what the agent kept."""
    job = add_job(agent)
    job.state, job.ended_at = State.FINISHED, NOW + timedelta(seconds=2)
    report = decode(get(agent, "one/report.html").body)
    assert (report.state, report.run, len(report.timeline)) == ("finished", "one", 1)
    assert report.ended_at == job.ended_at


def test_a_job_without_log(agent: Agent) -> None:
    """The report says what is not known."""
    agent.store.add(Job("one", JobSpec("shop", 1, 1, "b"), NOW, State.FAILED, started_at=NOW))
    report = decode(get(agent, "one/report.html").body)
    assert "The statistics are not known." in report.missing
    assert "There is no timeline." in report.missing


def test_headers(agent: Agent) -> None:
    """The file has no access to the API, and is saved under the name of the job."""
    add_job(agent, name='Ü"\\ x')
    response = get(agent, "one/report.html")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox allow-scripts" in policy
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Disposition"] == (
        "inline; filename=\"____x-one.html\"; filename*=UTF-8''%C3%9C%22%5C%20x-one.html"
    )
    again = get(agent, "one/report.html", f"If-None-Match: {response.headers['ETag']}\r\n")
    assert (again.status, again.body) == (304, b"")


def test_refused(agent: Agent) -> None:
    """An unknown job and an unknown parameter are errors."""
    assert get(agent, "other/report.html").status == 404
    add_job(agent)
    assert get(agent, "one/report.html?a=1").status == 400
