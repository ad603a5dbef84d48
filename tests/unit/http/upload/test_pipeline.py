"""The upload pipeline, with a thread that runs when the test says so."""

from __future__ import annotations

import errno
import os
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from conftest import LoggedErrors
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from unit.http.in_memory import MAX_UPLOAD_BYTES, Agent, Connection

from goloagent.artifacts.pending_upload import PendingUpload
from goloagent.http.upload.form import UploadBody
from goloagent.http.upload.pipeline import MAX_BUFFERED_BYTES, UploadPipeline

HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n#!/bin/sh\n'
END = b"\r\n--b--\r\n"


class Thread:
    """An `in_thread` whose work is run one by one."""

    def __init__(self) -> None:
        self._work: list[tuple[Callable[..., Any], tuple[Any, ...], Deferred[Any]]] = []
        self.is_working = False

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Queue work."""
        ends: Deferred[Any] = Deferred()
        self._work.append((function, arguments, ends))
        return ends

    def work(self) -> None:
        """Run the oldest queued work."""
        function, arguments, ends = self._work.pop(0)
        self.is_working = True
        try:
            result = function(*arguments)
        except Exception:
            result = Failure()
        self.is_working = False
        ends.callback(result)

    def work_off(self) -> None:
        """Run all queued work, and what it queues."""
        while self._work:
            self.work()

    @property
    def waiting(self) -> int:
        """The amount of queued work."""
        return len(self._work)


@pytest.fixture
def thread(agent: Agent) -> Thread:
    """Give the agent a thread of the test."""
    thread = Thread()
    agent.in_thread = thread
    return thread


def begin(agent: Agent, size: int = MAX_UPLOAD_BYTES) -> Connection:
    """Begin an upload, with the maximum length by default."""
    connection = agent.connect()
    connection.send(
        b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" % size
    )
    return connection


def send_whole(agent: Agent, content: bytes) -> Connection:
    """Send a complete upload."""
    body = HEAD + content + END
    connection = begin(agent, len(body))
    for start in range(0, len(body), 1000):
        connection.send(body[start : start + 1000])
    return connection


def is_paused(connection: Connection) -> bool:
    """Return whether reading a connection is paused."""
    state: str = connection.transport.producerState
    return state == "paused"


def fail(*_: object) -> None:
    """Fail like a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_blocks_are_written_in_order(agent: Agent, thread: Thread) -> None:
    """Each is passed to the thread after the previous one."""
    content = os.urandom(50_000)
    connection = send_whole(agent, content)
    assert thread.waiting == 1
    thread.work_off()
    assert connection.response().status == 200
    [kept] = agent.files
    assert kept.read_bytes() == b"#!/bin/sh\n" + content
    connection.lose()


def test_reading_pauses_when_the_buffer_is_full(agent: Agent, thread: Thread) -> None:
    """It resumes once the thread takes the buffer."""
    connection = begin(agent)
    connection.send(HEAD)
    connection.send(bytes(MAX_BUFFERED_BYTES - 1))
    assert not is_paused(connection)
    connection.send(b"x")
    assert is_paused(connection)
    thread.work()
    assert not is_paused(connection)
    thread.work()
    [part] = agent.files
    assert part.stat().st_size == len(b"#!/bin/sh\n") + MAX_BUFFERED_BYTES
    connection.lose()
    thread.work_off()


def test_small_chunks_take_no_more_memory_than_large_ones(agent: Agent, thread: Thread) -> None:
    """The bound of the buffer includes the overhead of objects."""
    upload = UploadBody("multipart/form-data; boundary=b", agent.artifacts)
    pipeline = UploadPipeline(
        upload,
        thread,
        lambda is_paused: None,
        failed=lambda failure: None,
        reserve=partial(agent.upload_space.reserve, 0),
    )
    pipeline.write(HEAD)
    tracemalloc.start()
    try:
        for number in range(MAX_BUFFERED_BYTES // 2):
            pipeline.write(b"%02d" % (number % 100))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * MAX_BUFFERED_BYTES
    pipeline.discard()
    thread.work_off()


@pytest.mark.parametrize("waiting", [b"", b"x", bytes(MAX_BUFFERED_BYTES)])
def test_a_client_that_disconnects_while_a_thread_writes(
    agent: Agent, thread: Thread, waiting: bytes
) -> None:
    """The thread finishes its block, and no file is left."""
    connection = begin(agent)
    connection.send(HEAD)
    connection.send(waiting)
    connection.lose()
    assert thread.waiting == 1
    thread.work()
    [part] = agent.files
    assert part.read_bytes() == b"#!/bin/sh\n"
    thread.work_off()
    assert agent.files == []


@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_client_that_disconnects_at_the_end(agent: Agent, thread: Thread, done: int) -> None:
    """At each of the last steps, a binary is stored whole or not at all."""
    connection = begin(agent, len(HEAD + END))
    connection.send(HEAD)
    connection.send(END)
    for _ in range(done):
        thread.work()
    connection.lose()
    thread.work_off()
    [kept] = agent.files if done == 3 else [None]
    assert agent.files == [agent.artifacts.ids / binary.id for binary in agent.store.binaries()]
    assert kept is None or kept.read_bytes() == b"#!/bin/sh\n"


def test_a_disk_that_fills_while_a_thread_writes(
    agent: Agent, thread: Thread, monkeypatch: pytest.MonkeyPatch, logged_errors: LoggedErrors
) -> None:
    """It is 507 at once, the file is removed, and the rest is discarded."""
    connection = begin(agent)
    connection.send(HEAD)
    thread.work()
    connection.send(b"x")
    connection.send(bytes(MAX_BUFFERED_BYTES))
    assert is_paused(connection)
    monkeypatch.setattr(PendingUpload, "write", fail)
    thread.work_off()
    assert connection.response().status == 507
    assert len(logged_errors.flush()) == 1
    assert not is_paused(connection)
    assert agent.files == []
    connection.send(b"x")
    assert thread.waiting == 0
    connection.lose()
    thread.work_off()


def test_a_disk_that_fills_with_the_last_block(
    agent: Agent, thread: Thread, monkeypatch: pytest.MonkeyPatch, logged_errors: LoggedErrors
) -> None:
    """It is 507, once."""
    connection = send_whole(agent, bytes(5000))
    monkeypatch.setattr(PendingUpload, "write", fail)
    thread.work_off()
    assert connection.response().status == 507
    assert len(logged_errors.flush()) == 1
    assert agent.files == []
    connection.lose()


def test_a_late_upload_while_a_thread_writes(agent: Agent, thread: Thread) -> None:
    """It is 408; the file is removed when the thread is done."""
    connection = begin(agent)
    connection.send(HEAD)
    agent.clock.advance(10)
    assert connection.response().status == 408
    thread.work_off()
    assert agent.files == []
    connection.lose()


def test_a_disk_slower_than_the_client(agent: Agent, thread: Thread) -> None:
    """The time in which reading was paused does not count."""
    connection = begin(agent)
    connection.send(HEAD)
    connection.send(bytes(MAX_BUFFERED_BYTES))
    agent.clock.pump([10, 10, 9])
    thread.work()
    assert not is_paused(connection)
    agent.clock.advance(1)
    assert connection.received == b""
    agent.clock.advance(10)
    assert connection.response().status == 408
    thread.work_off()
    connection.lose()


def test_a_disk_that_hangs_ends_an_upload(agent: Agent, thread: Thread) -> None:
    """A body has 15 minutes, paused or not."""
    connection = begin(agent)
    connection.send(HEAD)
    connection.send(bytes(MAX_BUFFERED_BYTES))
    agent.clock.pump([10] * 89)
    assert connection.received == b""
    agent.clock.advance(10)
    assert connection.response().status == 408
    thread.work_off()
    assert agent.files == []
    connection.lose()


def test_two_uploads_at_once(agent: Agent, thread: Thread) -> None:
    """Their blocks do not affect each other."""
    contents = [os.urandom(3000) for _ in range(2)]
    connections = [begin(agent, len(HEAD + content + END)) for content in contents]
    for start in range(0, 4000, 100):
        for connection, content in zip(connections, contents, strict=True):
            connection.send((HEAD + content + END)[start : start + 100])
        if start % 300 == 0:
            thread.work()
    thread.work_off()
    assert [connection.response().status for connection in connections] == [200, 200]
    kept = [path.read_bytes() for path in agent.files]
    assert sorted(kept) == sorted(b"#!/bin/sh\n" + content for content in contents)
    for connection in connections:
        connection.lose()


@pytest.mark.parametrize("body", [HEAD, HEAD.replace(b"#!", b"##") + END])
def test_an_invalid_upload_is_removed_in_a_thread(
    agent: Agent, thread: Thread, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    """Removing a large file blocks."""
    removed_by: list[bool] = []
    remove = PendingUpload.discard
    monkeypatch.setattr(
        PendingUpload, "discard", lambda self: (removed_by.append(thread.is_working), remove(self))
    )
    connection = begin(agent, len(body))
    connection.send(body)
    thread.work_off()
    assert connection.response().status == 400
    assert agent.files == []
    assert set(removed_by) == {True}
    connection.lose()


def test_a_defect_is_500(
    agent: Agent, thread: Thread, monkeypatch: pytest.MonkeyPatch, logged_errors: Any
) -> None:
    """It is logged, and no file is left."""
    connection = begin(agent)
    connection.send(HEAD)
    monkeypatch.setattr(PendingUpload, "write", lambda *_: 1 / 0)
    thread.work_off()
    assert connection.response().status == 500
    assert len(logged_errors.flush(ZeroDivisionError)) == 1
    assert agent.files == []
    connection.lose()
    thread.work_off()


def test_an_upload_larger_than_the_free_space(agent: Agent, thread: Thread) -> None:
    """It is 507 at the end of its headers, without a path, and nothing is written."""
    agent.upload_space.free_bytes = lambda: 100
    connection = begin(agent, 101)
    response = connection.response()
    assert response.status == 507
    assert b"no room for this upload: uploads may write 100 bytes" in response.body
    assert str(agent.directory).encode() not in response.body
    assert agent.files == []
    assert thread.waiting == 0
    connection.lose()


def test_an_upload_is_aborted_for_a_running_job(agent: Agent, thread: Thread) -> None:
    """It is 507, its file is removed, and its reservation is released."""
    room = [1 << 20]
    agent.upload_space.free_bytes = lambda: room[0]
    connection = begin(agent, 1 << 20)
    connection.send(HEAD)
    thread.work_off()
    room[0] = -1
    agent.upload_space.abort_if_low()
    assert connection.response().status == 507
    thread.work_off()
    assert agent.files == []
    room[0] = 1 << 20
    agent.upload_space.reserve(1 << 20, lambda error: None).release()
    connection.lose()
    thread.work_off()


def test_a_complete_upload_is_not_aborted(agent: Agent, thread: Thread) -> None:
    """It needs no more space."""
    room = [1 << 20]
    agent.upload_space.free_bytes = lambda: room[0]
    connection = send_whole(agent, bytes(5000))
    room[0] = -1
    agent.upload_space.abort_if_low()
    thread.work_off()
    assert connection.response().status == 200
    room[0] = 1 << 20
    agent.upload_space.reserve(1 << 20, lambda error: None)
    connection.lose()


def test_unknown_free_space(agent: Agent, thread: Thread) -> None:
    """It is 503."""

    def room() -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    agent.upload_space.free_bytes = room
    connection = begin(agent)
    assert connection.response().status == 503
    connection.lose()
    thread.work_off()


def test_an_upload_that_cannot_be_recorded(
    agent: Agent, thread: Thread, monkeypatch: pytest.MonkeyPatch, logged_errors: LoggedErrors
) -> None:
    """If the database cannot be written, neither file nor reservation is left."""

    def check_writable() -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(agent.store, "check_writable", check_writable)
    room = [1 << 20]
    agent.upload_space.free_bytes = lambda: room[0]
    connection = send_whole(agent, bytes(5000))
    thread.work_off()
    assert connection.response().status == 503
    assert len(logged_errors.flush()) == 1
    assert agent.files == []
    room[0] = -1
    agent.upload_space.abort_if_low()  # an upload that is over is not aborted
    assert len(connection.responses()) == 1
    connection.lose()


def test_an_error_while_waiting_for_the_database(
    agent: Agent, thread: Thread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last bytes may fail when the body is complete; there is one response."""
    locked = [True]

    def check_writable() -> None:
        if locked[0]:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(agent.store, "check_writable", check_writable)
    connection = send_whole(agent, END[:-4] + b"\r\n" + HEAD[5:])
    thread.work_off()
    assert connection.received == b""
    locked[0] = False
    agent.clock.advance(1)
    thread.work_off()
    assert connection.response().status == 400
    assert b'more than one part "file"' in connection.response().body
    assert not connection.aborted
    assert agent.files == []
    connection.lose()
