"""An upload on its way to the disk, with a thread that works when the test says so."""

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
from goloagent.http.upload.pipeline import BLOCK_BYTES, MAX_BUFFERED_BYTES, UploadPipeline

HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n#!/bin/sh\n'
END = b"\r\n--b--\r\n"


class Thread:
    """What `in_thread` has to do, done one by one."""

    def __init__(self) -> None:
        self._work: list[tuple[Callable[..., Any], tuple[Any, ...], Deferred[Any]]] = []
        self.is_working = False

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Take work on."""
        ends: Deferred[Any] = Deferred()
        self._work.append((function, arguments, ends))
        return ends

    def work(self) -> None:
        """Do what was asked for first."""
        function, arguments, ends = self._work.pop(0)
        self.is_working = True
        try:
            result = function(*arguments)
        except Exception:
            result = Failure()
        self.is_working = False
        ends.callback(result)

    def work_off(self) -> None:
        """Do all that there is, and what comes of it."""
        while self._work:
            self.work()

    @property
    def waiting(self) -> int:
        """How much there is to do."""
        return len(self._work)


@pytest.fixture
def thread(agent: Agent) -> Thread:
    """Have the agent use a thread of the test's."""
    thread = Thread()
    agent.in_thread = thread
    return thread


def begin(agent: Agent, size: int = MAX_UPLOAD_BYTES) -> Connection:
    """Begin an upload, of the most that is taken unless told otherwise."""
    connection = agent.connect()
    connection.send(
        b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" % size
    )
    return connection


def send_whole(agent: Agent, content: bytes) -> Connection:
    """Send an upload to its end."""
    body = HEAD + content + END
    connection = begin(agent, len(body))
    for start in range(0, len(body), 1000):
        connection.send(body[start : start + 1000])
    return connection


def is_paused(connection: Connection) -> bool:
    """Tell whether nothing more is read of a connection."""
    state: str = connection.transport.producerState
    return state == "paused"


def fail(*_: object) -> None:
    """Do as a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_comes_meanwhile_follows_in_order(agent: Agent, thread: Thread) -> None:
    """Each block is given to the thread when it has done the one before; all of it arrives."""
    content = os.urandom(50_000)
    connection = send_whole(agent, content)
    assert thread.waiting == 1
    thread.work_off()
    assert connection.response().status == 200
    [kept] = agent.files
    assert kept.read_bytes() == b"#!/bin/sh\n" + content
    connection.lose()


def test_no_more_is_read_than_may_wait(agent: Agent, thread: Thread) -> None:
    """With so much waiting the connection is paused, until the thread takes it."""
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
    """What may wait is a bound of memory, and not only of the bytes that the client has sent."""
    upload = UploadBody("multipart/form-data; boundary=b", agent.artifacts)
    intake = UploadPipeline(
        upload,
        thread,
        lambda is_paused: None,
        failed=lambda failure: None,
        reserve=partial(agent.upload_space.reserve, 0),
    )
    intake.write(HEAD)
    tracemalloc.start()
    try:
        for number in range(MAX_BUFFERED_BYTES // 2):
            intake.write(b"%02d" % (number % 100))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * MAX_BUFFERED_BYTES
    intake.discard()
    thread.work_off()


def test_an_upload_is_read_in_large_blocks(agent: Agent) -> None:
    """Twisted is told to read more at once than it does of its own."""
    connection = begin(agent)
    assert connection.transport.bufferSize == BLOCK_BYTES
    connection.lose()


@pytest.mark.parametrize("waiting", [b"", b"x", bytes(MAX_BUFFERED_BYTES)])
def test_a_client_that_leaves_while_a_thread_writes(
    agent: Agent, thread: Thread, waiting: bytes
) -> None:
    """The thread ends what it is at, no other begins, and nothing is left."""
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
def test_a_client_that_leaves_at_the_end(agent: Agent, thread: Thread, done: int) -> None:
    """Whichever of the last steps is under way, a binary is kept whole or not at all."""
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
    """It is 507 at once, the file goes, and what the client is still sending is read."""
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
    """When all has come it is 507 too, and once."""
    connection = send_whole(agent, bytes(5000))
    monkeypatch.setattr(PendingUpload, "write", fail)
    thread.work_off()
    assert connection.response().status == 507
    assert len(logged_errors.flush()) == 1
    assert agent.files == []
    connection.lose()


def test_an_upload_that_is_late_while_a_thread_writes(agent: Agent, thread: Thread) -> None:
    """The body's deadlines hold: 408, and the file goes when the thread is done."""
    connection = begin(agent)
    connection.send(HEAD)
    agent.clock.advance(10)
    assert connection.response().status == 408
    thread.work_off()
    assert agent.files == []
    connection.lose()


def test_a_disk_slower_than_the_client_is_not_the_clients_fault(
    agent: Agent, thread: Thread
) -> None:
    """Nothing is held against it for the time in which it was not read."""
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
    """A body has 15 minutes, whoever takes them."""
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
    """Each goes its own way, however their blocks take turns."""
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
def test_what_is_no_binary_is_let_go_of_in_a_thread(
    agent: Agent, thread: Thread, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    """For a large file that takes its time, in which the agent could do nothing else."""
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


def test_our_own_mistake_is_500(
    agent: Agent, thread: Thread, monkeypatch: pytest.MonkeyPatch, logged_errors: Any
) -> None:
    """What nobody has thought of is logged, answered, and leaves nothing behind."""
    connection = begin(agent)
    connection.send(HEAD)
    monkeypatch.setattr(PendingUpload, "write", lambda *_: 1 / 0)
    thread.work_off()
    assert connection.response().status == 500
    assert len(logged_errors.flush(ZeroDivisionError)) == 1
    assert agent.files == []
    connection.lose()
    thread.work_off()


def test_an_upload_that_announces_too_much_is_refused_before_its_body(
    agent: Agent, thread: Thread
) -> None:
    """It is 507 when its headers have come, says why without a path, and nothing is written."""
    agent.upload_space.free_bytes = lambda: 100
    connection = begin(agent, 101)
    answer = connection.response()
    assert answer.status == 507
    assert b"no room for this upload: uploads may write 100 bytes" in answer.body
    assert str(agent.directory).encode() not in answer.body
    assert agent.files == []
    assert thread.waiting == 0
    connection.lose()


def test_an_upload_gives_way_to_a_running_job(agent: Agent, thread: Thread) -> None:
    """When the disk is filled meanwhile it is 507, its file goes, and its space is there again."""
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


def test_an_upload_that_is_complete_gives_way_to_nothing(agent: Agent, thread: Thread) -> None:
    """It has all that it needs already."""
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


def test_a_disk_that_cannot_be_looked_at_takes_no_upload(agent: Agent, thread: Thread) -> None:
    """It is 503: nothing is known of its space."""

    def room() -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    agent.upload_space.free_bytes = room
    connection = begin(agent)
    assert connection.response().status == 503
    connection.lose()
    thread.work_off()


def test_an_upload_that_cannot_be_stored_leaves_nothing(
    agent: Agent, thread: Thread, monkeypatch: pytest.MonkeyPatch, logged_errors: LoggedErrors
) -> None:
    """Neither a file nor a reservation, when the database cannot be written at its end."""

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
    agent.upload_space.abort_if_low()  # nothing gives way that is over
    assert len(connection.responses()) == 1
    connection.lose()


def test_an_error_while_the_database_is_waited_for_is_answered_once(
    agent: Agent, thread: Thread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last bytes may turn out to be wrong when the body is complete."""
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
