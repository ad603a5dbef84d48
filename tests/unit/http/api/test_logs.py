"""The logs of a job: completely, a range, and followed."""

from __future__ import annotations

import errno
import gzip
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from unit.http.in_memory import NOW, Agent, Connection, Response

from goloagent.core.job_spec import JobSpec
from goloagent.http.server.channel import Channel
from goloagent.http.streaming.log_stream import BLOCK_BYTES, POLL_SECONDS, STALL_SECONDS
from goloagent.jobs.job import Job, State
from goloagent.wal.run_directory import remove_run
from goloagent.wal.run_log import RunLogReader, RunLogWriter

CONTENT = b"0123456789"


class Run:
    """A job with a log."""

    def __init__(self, agent: Agent, begun: bool = True) -> None:
        agent.logs.mkdir()
        self._agent = agent
        self.job = Job("one", JobSpec("shop", 1, 1, "b"), NOW)
        agent.store.add(self.job)
        self.log: RunLogWriter | None = None
        if begun:
            self.begin()

    def begin(self) -> None:
        """Start the job and create its log."""
        self.log = RunLogWriter.create(self._agent.logs, "shop", "one")
        self.job.state, self.job.has_log, self.job.started_at = State.RUNNING, True, NOW

    def print(self, data: bytes) -> None:
        """Write to its stdout."""
        assert self.log is not None
        self.log.append_stdout(data)

    def end(self) -> None:
        """Finish the job."""
        self.job.state, self.job.ended_at = State.FINISHED, NOW + timedelta(seconds=1)
        self._agent.store.save(self.job)


@pytest.fixture
def written(agent: Agent) -> Iterator[Run]:
    """Return a job that has written `CONTENT`."""
    written = Run(agent)
    written.print(CONTENT)
    yield written
    assert written.log is not None
    written.log.close()


def request(path: str, method: str = "GET", **headers: str) -> bytes:
    """Return the bytes of a request."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode()


def ask(agent: Agent, path: str = "/jobs/one/out.log", **more: str) -> Response:
    """Return the response to a request for a log."""
    return agent.request(request(path, **more))


def open_logs(agent: Agent) -> list[str]:
    """Return the agent's logs that this process has open."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = str(link.readlink())
            flags = (Path("/proc/self/fdinfo") / link.name).read_text()
        except FileNotFoundError:
            continue
        writable = int(flags.split("flags:")[1].split()[0], 8) & os.O_RDWR
        if target.startswith(f"{agent.logs}/") and not writable:
            found.append(target)
    return found


def test_complete_logs(agent: Agent, written: Run) -> None:
    """Both logs are sent unchanged, and never executed as a page."""
    assert written.log is not None
    written.log.append_stderr(b"<script>\xff")
    response = ask(agent)
    assert (response.status, response.body) == (200, CONTENT)
    assert response.headers["Accept-Ranges"] == "bytes"
    response = ask(agent, "/jobs/one/err.log")
    assert response.body == b"<script>\xff"
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert open_logs(agent) == []


@pytest.mark.parametrize(
    ("wanted", "start", "body"),
    [("2-4", 2, b"234"), ("7-", 7, b"789"), ("-3", 7, b"789"), ("8-99", 8, b"89")],
)
def test_one_range(agent: Agent, written: Run, wanted: str, start: int, body: bytes) -> None:
    """It is sent as 206."""
    response = ask(agent, Range=f"bytes={wanted}")
    assert (response.status, response.body) == (206, body)
    assert response.headers["Content-Range"] == f"bytes {start}-{start + len(body) - 1}/10"


def test_a_range_beyond_the_end(agent: Agent, written: Run) -> None:
    """It is 416 with the size."""
    response = ask(agent, Range="bytes=10-")
    assert response.status == 416
    assert response.headers["Content-Range"] == "bytes */10"
    assert open_logs(agent) == []


def test_the_etag(agent: Agent, written: Run) -> None:
    """It saves a download, and a range is sent only of an unchanged log."""
    etag = ask(agent).headers["ETag"]
    assert ask(agent, If_None_Match=etag).status == 304
    assert ask(agent, Range="bytes=1-", If_Range=etag).status == 206
    written.print(b"more")
    assert ask(agent, If_None_Match=etag).status == 200
    response = ask(agent, Range="bytes=1-", If_Range=etag)
    assert (response.status, response.body) == (200, CONTENT + b"more")
    assert open_logs(agent) == []


@pytest.mark.parametrize(
    ("offset", "body"), [(0, CONTENT), (4, b"456789"), (-2, b"89"), (-99, CONTENT), (99, b"")]
)
def test_an_offset(agent: Agent, written: Run, offset: int, body: bytes) -> None:
    """It counts from the start, or from the end if negative."""
    response = ask(agent, f"/jobs/one/out.log?offset={offset}", Range="bytes=0-0")
    assert (response.status, response.body) == (200, body)


def test_head(agent: Agent, written: Run) -> None:
    """HEAD has the length if it is known, and leaves no file open."""
    response = ask(agent, method="HEAD", Range="bytes=0-1")
    assert (response.status, response.headers["Content-Length"]) == (200, "10")
    assert "Content-Length" not in ask(agent, "/jobs/one/out.log?follow=1", method="HEAD").headers
    assert open_logs(agent) == []


def test_a_queued_job(agent: Agent) -> None:
    """Its log is empty."""
    Run(agent, begun=False)
    response = ask(agent)
    assert (response.status, response.body) == (200, b"")


@pytest.mark.parametrize("query", ["", "?follow=1"])
def test_a_removed_log(agent: Agent, written: Run, query: str) -> None:
    """It is 404, also if it is followed."""
    written.end()
    remove_run(agent.logs, "shop", "one")
    assert ask(agent, f"/jobs/one/out.log{query}").status == 404
    agent.store.forget_log("one")
    response = ask(agent, f"/jobs/one/out.log{query}")
    assert (response.status, response.body) == (
        404,
        b"job one has no log: never started, or removed by retention\n",
    )


def test_a_link_in_place_of_a_log(agent: Agent, written: Run) -> None:
    """It is not followed."""
    path = agent.logs / "shop" / "one" / "out.log"
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert ask(agent).status == 404


@pytest.mark.parametrize(
    "path", ["/jobs/two/out.log", "/jobs/one/account.json", "/jobs/../out.log"]
)
def test_other_files(agent: Agent, written: Run, path: str) -> None:
    """Only the two logs of jobs are served."""
    assert ask(agent, path).status == 404


@pytest.mark.parametrize("query", ["follow=maybe", "offset=x", "offset=9223372036854775808", "a=b"])
def test_invalid_queries(agent: Agent, written: Run, query: str) -> None:
    """They are 400."""
    assert ask(agent, f"/jobs/one/out.log?{query}").status == 400


def test_follow(agent: Agent, written: Run) -> None:
    """Existing bytes are sent at once, new ones soon; the response ends with the job."""
    connection = agent.connect()
    connection.send(request("/jobs/one/out.log?follow=1"))
    assert connection.chunks() == (CONTENT, False)
    written.print(b"more")
    agent.clock.advance(POLL_SECONDS)
    assert connection.chunks() == (CONTENT + b"more", False)
    written.print(b"last")
    written.end()
    agent.clock.advance(POLL_SECONDS)
    assert connection.chunks() == (CONTENT + b"morelast", True)
    assert open_logs(agent) == []


@pytest.mark.parametrize(
    ("offset", "body"), [(-3, b"789more"), (8, b"89more"), (12, b"re"), (50, b"")]
)
def test_follow_from_an_offset(agent: Agent, written: Run, offset: int, body: bytes) -> None:
    """The offset may be beyond the end."""
    connection = agent.connect()
    connection.send(request(f"/jobs/one/out.log?follow=1&offset={offset}"))
    written.print(b"more")
    written.end()
    agent.clock.advance(POLL_SECONDS)
    assert connection.chunks() == (body, True)


def test_follow_a_queued_job(agent: Agent) -> None:
    """The follower waits for its log."""
    written = Run(agent, begun=False)
    connection = agent.connect()
    connection.send(request("/jobs/one/out.log?follow=1"))
    agent.clock.advance(1000)
    assert connection.chunks() == (b"", False)
    written.begin()
    assert written.log is not None
    written.print(CONTENT)
    written.end()
    written.log.close()
    agent.clock.advance(POLL_SECONDS)
    assert connection.chunks() == (CONTENT, True)


def test_follow_a_job_cancelled_in_the_queue(agent: Agent) -> None:
    """The response is empty."""
    written = Run(agent, begun=False)
    connection = agent.connect()
    connection.send(request("/jobs/one/out.log?follow=1"))
    written.job.state, written.job.started_at = State.FAILED, NOW
    agent.clock.advance(POLL_SECONDS)
    assert connection.chunks() == (b"", True)


def test_a_log_that_is_removed_during_a_response(agent: Agent, written: Run) -> None:
    """It is sent to its end."""
    connection = agent.connect()
    connection.send(request("/jobs/one/out.log?follow=1"))
    remove_run(agent.logs, "shop", "one")
    written.print(b"more")
    written.end()
    agent.clock.advance(POLL_SECONDS)
    assert connection.chunks() == (CONTENT + b"more", True)


def test_a_client_that_disconnects(agent: Agent, written: Run) -> None:
    """It leaves no file open and no timer."""
    connection = agent.connect()
    connection.send(request("/jobs/one/out.log?follow=1"))
    assert len(open_logs(agent)) == 1
    connection.lose()
    assert open_logs(agent) == []
    assert agent.clock.getDelayedCalls() == []


def test_back_pressure(agent: Agent, written: Run) -> None:
    """The log is not read while the transport's buffer is full."""
    written.print(b"x" * 3 * BLOCK_BYTES)
    connection = agent.connect()
    connection.pause_after(1)
    connection.send(request("/jobs/one/out.log"))
    first = len(connection.received)
    assert BLOCK_BYTES < first < BLOCK_BYTES + 1000
    agent.clock.advance(STALL_SECONDS - 1)
    assert len(connection.received) == first
    connection.resume()
    assert len(connection.received) == first + BLOCK_BYTES
    while len(connection.response().body) < len(CONTENT) + 3 * BLOCK_BYTES:
        connection.resume()
    assert connection.response().body == CONTENT + b"x" * 3 * BLOCK_BYTES
    assert open_logs(agent) == []


@pytest.fixture
def broken_disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make reads fail once this list is not empty."""
    broken: list[int] = []
    read = RunLogReader.read

    def read_or_fail(reader: RunLogReader, offset: int, count: int) -> bytes:
        if broken:
            raise OSError(broken[0], os.strerror(broken[0]))
        return read(reader, offset, count)

    monkeypatch.setattr(RunLogReader, "read", read_or_fail)
    return broken


def assert_aborted(agent: Agent, connection: Connection) -> None:
    """Check that a response was aborted, so that it is not taken for complete."""
    assert connection.aborted
    assert not connection.received.endswith(b"0\r\n\r\n")
    connection.lose()
    assert open_logs(agent) == []
    assert agent.clock.getDelayedCalls() == []


@pytest.mark.parametrize("query", ["", "?follow=1"])
@pytest.mark.parametrize("event", ["stall", "truncation", "error"])
def test_an_aborted_response(
    agent: Agent, written: Run, broken_disk: list[int], query: str, event: str
) -> None:
    """A client that does not read for a minute, a truncated log and an error abort it."""
    written.print(b"x" * 3 * BLOCK_BYTES)
    connection = agent.connect()
    connection.pause_after(1)
    connection.send(request(f"/jobs/one/out.log{query}"))
    if event == "stall":
        agent.clock.advance(STALL_SECONDS)
    elif event == "truncation":
        os.truncate(agent.logs / "shop" / "one" / "out.log", 10)
        connection.resume()
    else:
        broken_disk.append(errno.EIO)
        connection.resume()
    assert_aborted(agent, connection)


@pytest.mark.parametrize("event", ["truncation", "error"])
def test_an_error_while_a_follower_waits(
    agent: Agent, written: Run, broken_disk: list[int], event: str
) -> None:
    """It is aborted at the next poll."""
    connection = agent.connect()
    connection.send(request("/jobs/one/out.log?follow=1"))
    if event == "truncation":
        os.truncate(agent.logs / "shop" / "one" / "out.log", 0)
    else:
        broken_disk.append(errno.EIO)
    agent.clock.advance(POLL_SECONDS)
    assert_aborted(agent, connection)


@pytest.mark.parametrize("query", ["", "?follow=1"])
def test_an_error_before_the_headers(
    agent: Agent, written: Run, broken_disk: list[int], logged_errors: Any, query: str
) -> None:
    """It is 503 with the reason."""
    broken_disk.append(errno.EIO)
    connection = agent.connect()
    connection.send(request(f"/jobs/one/out.log{query}"))
    response = connection.response()
    assert response.status == 503
    assert response.body.endswith(b"Input/output error\n")
    assert not connection.aborted
    assert len(logged_errors.flush()) == 1
    connection.lose()
    assert open_logs(agent) == []


@pytest.mark.parametrize("query", ["", "?follow=1"])
def test_a_log_on_a_connection_beyond_the_limit(
    agent: Agent, written: Run, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    """It is 503, and no file stays open."""
    monkeypatch.setattr(Channel, "exceeded", "2 connections of loopback are open already")
    connection = agent.connect()
    connection.send(request(f"/jobs/one/out.log{query}"))
    assert connection.response().status == 503
    connection.lose()
    assert open_logs(agent) == []


ROW = (
    b'{"timestamp":"2026-01-02T03:04:05Z","url":"http://x/%d","status":200,"duration":5000,'
    b'"error":"a, b"}\n'
)
TABLE_HEAD = b"timestamp,sequenceID,method,url,status,size,duration,error\r\n"


def table(agent: Agent, **headers: str) -> bytes:
    """Return the CSV table of the job's results."""
    connection = agent.connect()
    connection.send(request("/jobs/one/results.csv", **headers))
    body, is_complete = connection.chunks()
    assert is_complete
    return body


def test_results_as_a_table(agent: Agent) -> None:
    """Results up to now have a row each; other lines have none, however many there are."""
    run = Run(agent)
    assert table(agent) == TABLE_HEAD
    run.print(b"starting\n" + b"-" * 3_000_000 + b"\n" + b"no result\n" * 100_000)
    run.print(b"".join(ROW % number for number in range(300)) + b'{"timestamp":')
    rows = b"".join(
        b'2026-01-02T03:04:05Z,,,http://x/%d,200,,5000,"a, b"\r\n' % n for n in range(300)
    )
    assert table(agent) == TABLE_HEAD + rows
    assert gzip.decompress(table(agent, Accept_Encoding="gzip")) == TABLE_HEAD + rows


def test_an_unchanged_table_is_not_sent_again(agent: Agent, written: Run) -> None:
    """Its ETag changes with the log, which is closed each time."""
    before = open_logs(agent)
    etag = ask(agent, "/jobs/one/results.csv", method="HEAD").headers["ETag"]
    assert ask(agent, "/jobs/one/results.csv", If_None_Match=etag).status == 304
    written.print(b"more")
    assert ask(agent, "/jobs/one/results.csv", method="HEAD").headers["ETag"] != etag
    assert ask(agent, "/jobs/one/results.csv?a=1").status == 400
    assert ask(agent, "/jobs/two/results.csv").status == 404
    assert open_logs(agent) == before
