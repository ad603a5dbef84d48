"""The timelines of running and finished jobs, as JSON, CSV and HdrHistogram's log."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import attrs
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from unit.http.in_memory import NOW, Agent, Connection

from goloagent.core.job_spec import JobSpec
from goloagent.core.spans import Span
from goloagent.core.stats.hdr import decode
from goloagent.core.stats.histogram import Histogram
from goloagent.core.timeline import MAX_WINDOWS, Times, Window
from goloagent.http.streaming.generated import STALL_SECONDS
from goloagent.jobs.job import Job, LineCounts, State
from goloagent.wal.run_directory import remove_run
from goloagent.wal.run_log import RunLogWriter
from goloagent.wal.timeline_file import TimelineFile
from goloagent.wal.timeline_reader import TIMELINE

START = datetime(2026, 1, 2, 3, 4, 5, 250_000, tzinfo=timezone.utc)
MS = 1_000_000


@attrs.define
class Run:
    """A running job with a timeline."""

    agent: Agent
    job: Job
    timeline: TimelineFile

    @property
    def path(self) -> Path:
        """The file of its timeline."""
        return self.agent.logs / "shop/one" / TIMELINE

    def end(self) -> None:
        """Finish the job."""
        self.timeline.close()
        self.job.state, self.job.ended_at = State.FINISHED, NOW + timedelta(seconds=1)

    def get(self, path: str = "timeline", headers: str = "") -> tuple[dict[str, str], bytes]:
        """Return the headers and the body of a response."""
        connection = self.request(path, headers)
        body, is_complete = connection.chunks()
        assert is_complete
        head = connection.received.partition(b"\r\n\r\n")[0].decode("latin-1")
        return dict(line.split(": ", 1) for line in head.split("\r\n")[1:]), body

    def json(self, query: str = "") -> Any:
        """Return the timeline."""
        return json.loads(self.get(f"timeline{query}")[1])

    def request(self, path: str = "timeline", headers: str = "") -> Connection:
        """Request a file of the job."""
        connection = self.agent.connect()
        connection.send(
            f"GET /jobs/one/{path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode()
        )
        return connection


@pytest.fixture
def run(agent: Agent) -> Iterator[Run]:
    """Create a running job whose timeline has no window yet."""
    agent.logs.mkdir()
    RunLogWriter.create(agent.logs, "shop", "one").close()
    job = Job("one", JobSpec("shop", 1, 1, "b"), NOW, State.RUNNING, started_at=NOW, has_log=True)
    agent.store.add(job)
    timeline = TimelineFile((agent.logs, "shop", "one"), START, lambda *_: Deferred())
    yield Run(agent, job, timeline)
    timeline.close()


def times(*milliseconds: int) -> Times:
    """Return the percentiles of durations."""
    histogram = Histogram()
    histogram.record([MS * one for one in milliseconds])
    return Times.of(histogram)


FIRST = Window(
    0.0, 1.0, planned=10, scheduled=5, started=4, dropped=1, succeeded=3, in_flight=1,
    max_in_flight=2, results=2, errors=1, bytes=7, duration=times(20, 40), iteration=times(50),
    limited=("ports",),
)  # fmt: skip


def test_a_running_job(run: Run) -> None:
    """It has the windows up to now, with times in seconds, and nothing is missing."""
    assert run.json()["windows"] == []
    run.timeline.append(FIRST)
    run.timeline.note({"at": 0.5, "users": 20})
    run.timeline.append(Window(1.0, 1.0, failed=1))
    run.job.limited = (Span("ports", 0.0, 1.0),)
    timeline = run.json()
    [first, second] = timeline.pop("windows")
    assert timeline == {
        "start": "2026-01-02T03:04:05.250000Z",
        "changes": [{"at": 0.5, "users": 20}],
        "limited": [{"cause": "ports", "from": 0.0, "to": 1.0}],
        "complete": True,
        "missing": [],
    }
    assert first["duration"] == {
        "p50": pytest.approx(0.02, rel=0.001), "p95": 0.04, "p99": 0.04, "max": 0.04
    }  # fmt: skip
    assert first["iteration"]["p50"] == 0.05
    counts = ("scheduled", "started", "dropped", "succeeded", "failed", "in_flight", "results")
    assert [first[name] for name in counts] == [5, 4, 1, 3, 0, 1, 2]
    assert (first["planned"], first["limited"]) == (10.0, ["ports"])
    assert (second["at"], second["failed"], second["duration"]) == (1.0, 1, None)


def test_histograms(run: Run) -> None:
    """They are there if they are requested."""
    run.timeline.append(FIRST)
    [window] = run.json("?histograms=hdr")["windows"]
    assert decode(window["duration"]["histogram"]).count == 2
    assert decode(window["iteration"]["histogram"]).count == 1
    assert "histogram" not in run.json()["windows"][0]["duration"]


def test_a_finished_job(run: Run) -> None:
    """It is complete if its results are all in a window."""
    run.timeline.append(FIRST)
    run.end()
    run.job.lines = LineCounts(read=2)
    assert run.json()["complete"] is True
    run.job.lines = LineCounts(read=9, invalid=1)
    timeline = run.json()
    assert timeline["complete"] is False
    assert timeline["missing"] == ["6 results in out.log are in no window."]


def test_a_job_of_a_killed_agent(run: Run) -> None:
    """Its timeline has what was written, and says from when on it has not."""
    run.timeline.append(FIRST)
    with run.path.open("ab") as file:
        file.write(b'{"window":{"at":1.0,"sec')
    run.job.state = State.INTERRUPTED
    timeline = run.json()
    assert [window["at"] for window in timeline["windows"]] == [0.0]
    assert timeline["complete"] is False
    assert timeline["missing"] == ["The timeline ends after 1 s: it is damaged."]
    os.truncate(run.path, 0)
    timeline = run.json()
    assert (timeline["start"], timeline["windows"], timeline["complete"]) == (None, [], False)


def test_csv(run: Run) -> None:
    """It has a row for each window."""
    run.timeline.append(FIRST)
    run.timeline.append(Window(1.0, 1.0))
    headers, body = run.get("timeline.csv")
    assert headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    first, second = csv.DictReader(io.StringIO(body.decode(), newline=""))
    assert (first["at"], first["duration_p95_ms"], first["limited"]) == ("0.0", "40.000", "ports")
    assert second["at"] == "1.0"


@pytest.mark.parametrize(
    ("query", "expected"), [("", [2, 3]), ("?metric=duration", [2, 3]), ("?metric=iteration", [1])]
)
def test_hlog(run: Run, tmp_path: Path, query: str, expected: list[int]) -> None:
    """HdrHistogram's own reader has the values of each second in which there were any."""
    for window in (FIRST, Window(1.0, 1.0), Window(2.0, 0.5, duration=times(1, 2, 300))):
        run.timeline.append(window)
    log = tmp_path / "stats.hlog"
    log.write_bytes(run.get(f"stats.hlog{query}")[1])
    reader = HistogramLogReader(str(log), HdrHistogram(1, 2**63 - 1, 3))
    read = []
    while (interval := reader.get_next_interval_histogram()) is not None:
        read.append(interval)
    assert [one.get_total_count() for one in read] == expected
    assert read[0].get_start_time_stamp() == START.timestamp() * 1000
    if not query:
        assert read[1].get_start_time_stamp() == START.timestamp() * 1000 + 2000
        assert read[1].get_end_time_stamp() == START.timestamp() * 1000 + 2500
        assert read[1].get_value_at_percentile(100) == pytest.approx(300 * MS, rel=0.001)


@pytest.mark.parametrize("path", ["timeline", "timeline.csv", "stats.hlog"])
def test_jobs_without_a_timeline(run: Run, path: str) -> None:
    """The response says why there is none."""
    run.end()
    remove_run(run.agent.logs, "shop", "one")
    response = run.request(path).response()
    assert response.status == 404
    assert b"its load never began" in response.body
    run.job.state = State.STARTING
    assert b"its load has not begun yet" in run.request(path).response().body
    unknown = run.agent.request(
        f"GET /jobs/two/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    )
    assert unknown.status == 404


@pytest.mark.parametrize(
    "path", ["timeline?histograms=x", "timeline?a=1", "timeline.csv?a=1", "stats.hlog?metric=x"]
)
def test_unknown_parameters(run: Run, path: str) -> None:
    """They are refused."""
    assert run.request(path).response().status == 400


def test_etag(run: Run) -> None:
    """A client that has the timeline gets 304 until a window is added."""
    run.timeline.append(FIRST)
    tag = run.get()[0]["ETag"]
    condition = f"If-None-Match: {tag}\r\n"
    assert run.request("timeline", condition).response().status == 304
    run.timeline.append(Window(1.0, 1.0))
    assert run.get("timeline", condition)[0]["ETag"] != tag


def test_compression(run: Run) -> None:
    """It is used if the client accepts it."""
    for at in range(1000):
        run.timeline.append(moved(FIRST, float(at)))
    headers, body = run.get("timeline", "Accept-Encoding: gzip\r\n")
    assert (headers["Content-Encoding"], headers["Vary"]) == ("gzip", "Accept-Encoding")
    plain = run.get()[1]
    assert gzip.decompress(body) == plain
    assert len(body) < len(plain) / 4


def moved(window: Window, at: float) -> Window:
    """Return a window at another time."""
    return Window(**{name: getattr(window, name) for name in window.__struct_fields__} | {"at": at})


def test_head(run: Run) -> None:
    """It has the headers, and no body."""
    response = run.agent.request(b"HEAD /jobs/one/timeline.csv HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (response.status, response.body) == (200, b"")
    assert response.headers["Content-Type"].startswith("text/csv")


class SlowClock(Clock):
    """A clock that advances by a millisecond whenever it is read, and counts turns."""

    turns = 0

    def seconds(self) -> float:
        self.rightNow += 0.001
        return self.rightNow

    def callLater(self, when: float, *more: Any, **most: Any) -> Any:
        self.turns += when == 0
        return super().callLater(when, *more, **most)


def test_a_long_timeline_is_sent_in_turns(run: Run) -> None:
    """Other events are handled between them, and all windows arrive."""
    for at in range(MAX_WINDOWS):
        run.timeline.append(moved(FIRST, float(at)))
    clock = run.agent.clock = SlowClock()
    connection = run.request()
    while not connection.chunks()[1]:
        clock.advance(0)
    assert clock.turns > 5
    assert len(json.loads(connection.chunks()[0])["windows"]) == MAX_WINDOWS


def test_a_client_that_is_behind(run: Run) -> None:
    """It gets the rest when it reads again; one that never does is aborted, and the file closed."""
    for at in range(500):
        run.timeline.append(moved(FIRST, float(at)))
    connection = run.agent.connect()
    connection.pause_after(2)
    connection.send(b"GET /jobs/one/timeline HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert not connection.chunks()[1]
    while not connection.chunks()[1]:
        connection.resume()
    assert len(json.loads(connection.chunks()[0])["windows"]) == 500
    stalled = run.agent.connect()
    stalled.pause_after(2)
    stalled.send(b"GET /jobs/one/timeline HTTP/1.1\r\nHost: localhost\r\n\r\n")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    run.agent.clock.advance(STALL_SECONDS)
    assert stalled.aborted
    assert len(os.listdir("/proc/self/fd")) == before - 1  # noqa: PTH208
    stalled.lose()
