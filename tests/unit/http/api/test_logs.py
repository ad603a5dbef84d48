"""The logs of a job over HTTP: whole, in part and followed, only as fast as the client reads."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from unit.http.in_memory import NOW, Agent, Response

from goloagent.http.server.channel import Channel
from goloagent.http.streaming.log_stream import BLOCK_BYTES, POLL_SECONDS, STALL_SECONDS
from goloagent.jobs.job import Job, State
from goloagent.jobs.spec import JobSpec
from goloagent.wal.run_directory import remove_run
from goloagent.wal.run_log import RunLogReader, RunLogWriter

CONTENT = b"0123456789"


class Written:
    """A job that runs and what it writes."""

    def __init__(self, agent: Agent, begun: bool = True) -> None:
        agent.logs.mkdir()
        self._agent = agent
        self.job = Job("one", JobSpec("shop", 1, 1, "b"), NOW)
        agent.store.add(self.job)
        self.log: RunLogWriter | None = None
        if begun:
            self.begin()

    def begin(self) -> None:
        """Start the job; its log is there."""
        self.log = RunLogWriter.create(self._agent.logs, "shop", "one")
        self.job.state, self.job.has_log, self.job.started_at = State.RUNNING, True, NOW

    def print(self, data: bytes) -> None:
        """Have it write to stdout."""
        assert self.log is not None
        self.log.append_stdout(data)

    def end(self) -> None:
        """Bring it to its end."""
        self.job.state, self.job.ended_at = State.FINISHED, NOW + timedelta(seconds=1)
        self._agent.store.save(self.job)


@pytest.fixture
def written(agent: Agent) -> Iterator[Written]:
    """Return a job that has written `CONTENT`."""
    written = Written(agent)
    written.print(CONTENT)
    yield written
    assert written.log is not None
    written.log.close()


def request(path: str, method: str = "GET", **headers: str) -> bytes:
    """Return a request's bytes."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode()


def ask(agent: Agent, path: str = "/jobs/one/out.log", **more: str) -> Response:
    """Return the answer to a request for a log."""
    return agent.request(request(path, **more))


def open_logs(agent: Agent) -> list[str]:
    """Return the logs of the agent that this process has open for reading."""
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


def test_the_whole(agent: Agent, written: Written) -> None:
    """Both logs are sent as the bytes that they are, and never run as a page of ours."""
    assert written.log is not None
    written.log.append_stderr(b"<script>\xff")
    answer = ask(agent)
    assert (answer.status, answer.body) == (200, CONTENT)
    assert answer.headers["Accept-Ranges"] == "bytes"
    answer = ask(agent, "/jobs/one/err.log")
    assert answer.body == b"<script>\xff"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert open_logs(agent) == []


@pytest.mark.parametrize(
    ("wanted", "start", "body"),
    [("2-4", 2, b"234"), ("7-", 7, b"789"), ("-3", 7, b"789"), ("8-99", 8, b"89")],
)
def test_a_part(agent: Agent, written: Written, wanted: str, start: int, body: bytes) -> None:
    """One range is served as such."""
    answer = ask(agent, Range=f"bytes={wanted}")
    assert (answer.status, answer.body) == (206, body)
    assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(body) - 1}/10"


def test_a_part_that_is_not_there(agent: Agent, written: Written) -> None:
    """It is refused, saying how much there is."""
    answer = ask(agent, Range="bytes=10-")
    assert answer.status == 416
    assert answer.headers["Content-Range"] == "bytes */10"
    assert open_logs(agent) == []


def test_several_parts(agent: Agent, written: Written) -> None:
    """They are answered with the whole."""
    answer = ask(agent, Range="bytes=0-1,4-5")
    assert (answer.status, answer.body) == (200, CONTENT)


def test_the_etag(agent: Agent, written: Written) -> None:
    """It spares who has the log, and a part is sent only of the log that it was."""
    etag = ask(agent).headers["ETag"]
    assert ask(agent, If_None_Match=etag).status == 304
    assert ask(agent, Range="bytes=1-", If_Range=etag).status == 206
    written.print(b"more")
    assert ask(agent, If_None_Match=etag).status == 200
    answer = ask(agent, Range="bytes=1-", If_Range=etag)
    assert (answer.status, answer.body) == (200, CONTENT + b"more")
    assert open_logs(agent) == []


@pytest.mark.parametrize(
    ("offset", "body"), [(0, CONTENT), (4, b"456789"), (-2, b"89"), (-99, CONTENT), (99, b"")]
)
def test_an_offset(agent: Agent, written: Written, offset: int, body: bytes) -> None:
    """It is counted from the start, or from the end when negative."""
    answer = ask(agent, f"/jobs/one/out.log?offset={offset}", Range="bytes=0-0")
    assert (answer.status, answer.body) == (200, body)


def test_head(agent: Agent, written: Written) -> None:
    """HEAD tells the length, or that it is not known, and leaves nothing open."""
    answer = ask(agent, method="HEAD", Range="bytes=0-1")
    assert (answer.status, answer.headers["Content-Length"]) == (200, "10")
    assert "Content-Length" not in ask(agent, "/jobs/one/out.log?follow=1", method="HEAD").headers
    assert open_logs(agent) == []


def test_before_it_begins(agent: Agent) -> None:
    """A job that waits has an empty log."""
    Written(agent, begun=False)
    answer = ask(agent)
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("query", ["", "?follow=1"])
def test_a_log_that_is_gone(agent: Agent, written: Written, query: str) -> None:
    """It is not there any more, whoever took it; nor is it waited for."""
    written.end()
    remove_run(agent.logs, "shop", "one")
    assert ask(agent, f"/jobs/one/out.log{query}").status == 404
    agent.store.forget_log("one")
    answer = ask(agent, f"/jobs/one/out.log{query}")
    assert (answer.status, answer.body) == (
        404,
        b"job one has no log: never started, or removed by retention\n",
    )


def test_what_is_no_log(agent: Agent, written: Written) -> None:
    """A link that was put in a log's place is not followed."""
    path = agent.logs / "shop" / "one" / "out.log"
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert ask(agent).status == 404


@pytest.mark.parametrize(
    "path", ["/jobs/two/out.log", "/jobs/one/account.json", "/jobs/../out.log"]
)
def test_no_other_file(agent: Agent, written: Written, path: str) -> None:
    """Nothing but the two logs of jobs is served."""
    assert ask(agent, path).status == 404


@pytest.mark.parametrize("query", ["follow=maybe", "offset=x", "offset=9223372036854775808", "a=b"])
def test_wrong_queries(agent: Agent, written: Written, query: str) -> None:
    """They are refused."""
    assert ask(agent, f"/jobs/one/out.log?{query}").status == 400


def test_following(agent: Agent, written: Written) -> None:
    """What there is comes at once, what is written soon, and the end with the job's."""
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
def test_following_from_any_point(agent: Agent, written: Written, offset: int, body: bytes) -> None:
    """Also from one that is not reached yet."""
    connection = agent.connect()
    connection.send(request(f"/jobs/one/out.log?follow=1&offset={offset}"))
    written.print(b"more")
    written.end()
    agent.clock.advance(POLL_SECONDS)
    assert connection.chunks() == (body, True)


def test_following_a_job_that_waits(agent: Agent) -> None:
    """The follower waits with it."""
    written = Written(agent, begun=False)
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


def test_following_a_job_that_never_begins(agent: Agent) -> None:
    """The stream ends with it, empty."""
    written = Written(agent, begun=False)
    connection = agent.connect()
    connection.send(request("/jobs/one/out.log?follow=1"))
    written.job.state, written.job.started_at = State.FAILED, NOW
    agent.clock.advance(POLL_SECONDS)
    assert connection.chunks() == (b"", True)


def test_a_log_that_is_removed_while_it_is_read(agent: Agent, written: Written) -> None:
    """Who reads it already reads it to its end."""
    connection = agent.connect()
    connection.send(request("/jobs/one/out.log?follow=1"))
    remove_run(agent.logs, "shop", "one")
    written.print(b"more")
    written.end()
    agent.clock.advance(POLL_SECONDS)
    assert connection.chunks() == (CONTENT + b"more", True)


def test_a_client_that_goes_away(agent: Agent, written: Written) -> None:
    """Nothing is kept for it: no file, no timer."""
    connection = agent.connect()
    connection.send(request("/jobs/one/out.log?follow=1"))
    assert len(open_logs(agent)) == 1
    connection.lose()
    assert open_logs(agent) == []
    assert agent.clock.getDelayedCalls() == []


def test_no_faster_than_the_client(agent: Agent, written: Written) -> None:
    """While the transport holds data nothing more is read; when it asks, it gets on."""
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


def test_a_client_that_reads_nothing(agent: Agent, written: Written) -> None:
    """It is dropped after a minute, and its file is closed."""
    written.print(b"x" * 3 * BLOCK_BYTES)
    connection = agent.connect()
    connection.pause_after(1)
    connection.send(request("/jobs/one/out.log"))
    agent.clock.advance(STALL_SECONDS)
    assert connection.aborted
    connection.lose()
    assert open_logs(agent) == []


def test_a_log_that_is_cut_while_it_is_read(agent: Agent, written: Written) -> None:
    """The connection is dropped, so that the client does not take it for the whole."""
    written.print(b"x" * 3 * BLOCK_BYTES)
    connection = agent.connect()
    connection.pause_after(1)
    connection.send(request("/jobs/one/out.log"))
    os.truncate(agent.logs / "shop" / "one" / "out.log", 10)
    connection.resume()
    assert connection.aborted
    connection.lose()
    assert open_logs(agent) == []


@pytest.fixture
def broken_disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have reads fail once there is something in this list."""
    broken: list[int] = []
    read = RunLogReader.read

    def read_or_fail(reader: RunLogReader, offset: int, count: int) -> bytes:
        if broken:
            raise OSError(broken[0], os.strerror(broken[0]))
        return read(reader, offset, count)

    monkeypatch.setattr(RunLogReader, "read", read_or_fail)
    return broken


@pytest.mark.parametrize("query", ["", "?follow=1"])
def test_an_error_behind_the_headers_drops_the_client(
    agent: Agent, written: Written, broken_disk: list[int], query: str
) -> None:
    """What cannot be read on is cut, so that nobody takes the part for the whole."""
    written.print(b"x" * 3 * BLOCK_BYTES)
    connection = agent.connect()
    connection.pause_after(1)
    connection.send(request(f"/jobs/one/out.log{query}"))
    broken_disk.append(errno.EIO)
    connection.resume()
    assert connection.aborted
    assert not connection.received.endswith(b"0\r\n\r\n")
    connection.lose()
    assert open_logs(agent) == []
    assert agent.clock.getDelayedCalls() == []


def test_an_error_while_nothing_is_written_drops_a_follower(
    agent: Agent, written: Written, broken_disk: list[int]
) -> None:
    """Who waits for more of a log that cannot be read is not left waiting."""
    connection = agent.connect()
    connection.send(request("/jobs/one/out.log?follow=1"))
    broken_disk.append(errno.EIO)
    agent.clock.advance(POLL_SECONDS)
    assert connection.aborted
    connection.lose()
    assert open_logs(agent) == []
    assert agent.clock.getDelayedCalls() == []


@pytest.mark.parametrize("query", ["", "?follow=1"])
def test_an_error_before_the_headers_is_answered(
    agent: Agent, written: Written, broken_disk: list[int], logged_errors: Any, query: str
) -> None:
    """As long as nothing was sent, an error of the disk is 503 with its reason."""
    broken_disk.append(errno.EIO)
    connection = agent.connect()
    connection.send(request(f"/jobs/one/out.log{query}"))
    answer = connection.response()
    assert answer.status == 503
    assert answer.body.endswith(b"Input/output error\n")
    assert not connection.aborted
    assert len(logged_errors.flush()) == 1
    connection.lose()
    assert open_logs(agent) == []


def test_a_followed_log_that_is_cut_drops_the_client(agent: Agent, written: Written) -> None:
    """A log that was truncated has no more of what the client waits for."""
    connection = agent.connect()
    connection.send(request("/jobs/one/out.log?follow=1"))
    os.truncate(agent.logs / "shop" / "one" / "out.log", 0)
    agent.clock.advance(POLL_SECONDS)
    assert connection.aborted
    connection.lose()
    assert open_logs(agent) == []


@pytest.mark.parametrize("query", ["", "?follow=1"])
def test_a_stream_beyond_the_bound_is_503(
    agent: Agent, written: Written, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    """A connection that is one too many serves no log; nothing is left open for it."""
    monkeypatch.setattr(Channel, "exceeded", "2 connections of loopback are open already")
    connection = agent.connect()
    connection.send(request(f"/jobs/one/out.log{query}"))
    assert connection.response().status == 503
    connection.lose()
    assert open_logs(agent) == []
