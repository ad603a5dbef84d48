"""The responses to pushes, for all behaviours of collectors and networks, in memory."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import LoggedErrors
from hypothesis import given
from hypothesis import strategies as st
from peers.sinks import collector_sink
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorPluggableNameResolver
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from zope.interface import implementer

from goloagent.core.address import HttpUrl
from goloagent.outputs.batch import Batch
from goloagent.outputs.http import ANSWER_SECONDS, PUSH_SECONDS, _retry_after
from goloagent.outputs.http_body import MAX_ANSWER_BYTES
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.sink import Disposition, Response
from goloagent.transport.client import MAX_CONNECTION_SECONDS
from goloagent.transport.tls import Tls

BODY = b'[{"timestamp":"2026-01-02T03:04:05Z"}]'
RUN = RunLabels("job", "shop", "run", "agent")
BATCH = Batch(0, 38, BODY[1:-1] + b"\n")
HEAD = b"HTTP/1.1 200 OK\r\n"
TAKEN = HEAD + b"Content-Length: 0\r\n\r\n"


class Line(StringTransport):
    """The transport of a connection."""

    protocol: Any = None
    lost = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Do nothing."""

    def loseConnection(self) -> None:
        self.lose(ConnectionDone())

    def abortConnection(self) -> None:
        self.lose(ConnectionLost())

    def lose(self, error: Exception) -> None:
        if not self.lost:
            self.lost = True
            self.protocol.connectionLost(Failure(error))


@implementer(IReactorPluggableNameResolver)
class World(MemoryReactorClock):
    """A reactor in memory, and a sink for a collector that it reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.nameResolver = self
        self.resolves = True
        self.address = "192.0.2.1"
        self.collector = collector_sink(self, HttpUrl.parse("http://collector:8082/base"), Tls())
        self.answers: list[Response] = []
        self.lines: list[Line] = []

    def resolveHostName(self, receiver: Any, hostName: str, portNumber: int = 0, **_: Any) -> Any:
        receiver.resolutionBegan(self)
        if self.resolves:
            receiver.addressResolved(IPv4Address("TCP", self.address, portNumber))
        receiver.resolutionComplete()

    def installNameResolver(self, resolver: Any) -> None:
        raise NotImplementedError

    def push(self) -> Deferred[None]:
        """Push a batch; its response is appended to `answers`."""
        pushing = ensureDeferred(self.collector.send(RUN, BATCH, 0))
        return pushing.addCallback(self.answers.append)

    def accept(self) -> Line:
        """Accept the last connection."""
        assert len(self.tcpClients) == len(self.lines) + 1
        factory = self.tcpClients[-1][2]
        line = Line()
        line.protocol = factory.buildProtocol(None)
        line.protocol.makeConnection(line)
        self.lines.append(line)
        return line

    def answered(self, *pieces: bytes) -> Line:
        """Push, and let the collector send bytes."""
        self.push()
        line = self.accept()
        for piece in pieces:
            if not line.lost:
                line.protocol.dataReceived(piece)
        return line


@pytest.fixture
def world() -> World:
    """Return a new world."""
    return World()


def test_a_push(world: World) -> None:
    """One request has the batch and its key; the connection is used again."""
    line = world.answered(HEAD + b"Content-Length: 5\r\n\r\nthank")
    assert world.answers == [Response(200, text="thank")]
    assert world.answers[0].is_whole
    head, _, body = line.value().partition(b"\r\n\r\n")
    assert body == BODY
    assert sorted(head.split(b"\r\n")) == sorted(
        [
            b"POST /base/push/shop HTTP/1.1",
            b"Host: collector:8082",
            b"Content-Type: application/json",
            b"Content-Length: 38",
            b"Idempotency-Key: job/0-37",
            b"Accept-Encoding: gzip",
        ]
    )
    world.push()
    assert len(world.tcpClients) == 1
    line.protocol.dataReceived(HEAD + b"Set-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")
    world.push()
    line.protocol.dataReceived(HEAD + b"Content-Length: 0\r\n\r\n")
    assert [answer.status for answer in world.answers] == [200] * 3
    assert b"Cookie" not in line.value()


def test_a_busy_connection_is_replaced_and_its_name_resolved_again(world: World) -> None:
    """The name is resolved again after 5 minutes, also on a busy connection."""
    old = world.answered(TAKEN)
    assert world.tcpClients[0][0] == "192.0.2.1"
    world.address = "192.0.2.2"
    for _ in range(29):
        world.advance(MAX_CONNECTION_SECONDS / 30)
        world.push()
        old.protocol.dataReceived(TAKEN)
    assert len(world.tcpClients) == 1
    assert not old.lost
    world.advance(MAX_CONNECTION_SECONDS / 30)
    world.answered(TAKEN)
    assert world.tcpClients[1][0] == "192.0.2.2"
    assert old.lost
    assert [answer.status for answer in world.answers] == [200] * 31


def test_a_connection_in_use_is_closed_after_its_request(world: World) -> None:
    """A push that is under way at the replacement of its connection continues."""
    old = world.answered(TAKEN)
    for seconds in (MAX_CONNECTION_SECONDS / 2, MAX_CONNECTION_SECONDS / 2 - 1):
        world.advance(seconds)
        world.push()
        old.protocol.dataReceived(TAKEN)
    world.push()
    world.advance(2)
    new = world.answered(TAKEN)
    assert not old.lost
    old.protocol.dataReceived(TAKEN)
    world.advance(0)
    assert [answer.status for answer in world.answers] == [200] * 5
    assert old.lost
    assert not new.lost


def test_http_10_is_not_kept(world: World) -> None:
    """HTTP/1.0 gets a new connection for each push."""
    for _ in range(3):
        assert world.answered(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").lost
    assert [answer.status for answer in world.answers] == [200] * 3
    assert b"Connection: close" in world.lines[-1].value()


# Odd responses.


@pytest.mark.parametrize("after", [0.0, PUSH_SECONDS - 0.5])
def test_a_body_that_stalls_changes_no_status(world: World, after: float) -> None:
    """The headers decide, however late; the body has 2 s more."""
    line = world.answered()
    world.advance(after)
    line.protocol.dataReceived(HEAD + b"Content-Length: 100\r\n\r\nthank")
    world.advance(ANSWER_SECONDS - 0.1)
    assert world.answers == []
    world.advance(0.2)
    assert world.answers == [Response(200, text="thank")]
    assert not world.answers[0].is_whole
    assert line.lost
    assert world.getDelayedCalls() == []


@pytest.mark.parametrize("answer", [b"", HEAD, HEAD + b"Content-Length: 100\r\n\r\n"])
def test_a_cancelled_push_ends_at_once(world: World, answer: bytes) -> None:
    """A cancel at any moment closes the connection."""
    pushing = world.push()
    ended: list[object] = []
    pushing.addErrback(lambda failure: ended.append(failure.trap(CancelledError)))
    line = world.accept()
    line.protocol.dataReceived(answer)
    pushing.cancel()
    assert ended == [CancelledError]
    assert world.answers == []
    assert line.lost
    assert world.getDelayedCalls() == []


def test_a_body_without_end_is_cut(world: World) -> None:
    """At most 64 KiB of a body are read."""
    line = world.answered(HEAD + b"Content-Length: 1000000000\r\n\r\n", *[b"x" * 5000] * 100)
    assert line.lost
    assert world.answers == [Response(200, text="x" * MAX_ANSWER_BYTES)]
    assert not world.answers[0].is_whole


@pytest.mark.parametrize("answer", [b"1.1 204 No Content", b"1.0 200 OK", b"1.1 200 OK"])
def test_a_body_that_ends_is_whole(world: World, answer: bytes) -> None:
    """It may be empty, or end with the connection."""
    line = world.answered(b"HTTP/" + answer + b"\r\n\r\n")
    line.lose(ConnectionDone())
    assert world.answers[0].is_whole


def test_a_body_that_cannot_be_inflated(world: World) -> None:
    """The status counts."""
    world.answered(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nwrong")
    assert [answer.status for answer in world.answers] == [200]


@pytest.mark.parametrize("end", [ConnectionDone(), ConnectionLost()])
def test_a_body_that_is_cut_changes_no_status(world: World, end: Exception) -> None:
    """After the headers the batch is delivered."""
    line = world.answered(HEAD + b"Content-Length: 100\r\n\r\nthank")
    line.lose(end)
    assert world.answers == [Response(200, text="thank")]
    assert not world.answers[0].is_whole


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\0\xff\xfe" * 100 + b"\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: none of this\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
    ids=range(7),
)
def test_garbage_is_no_response(world: World, answer: bytes) -> None:
    """After garbage the batch is retried on another connection."""
    line = world.answered(answer)
    line.lose(ConnectionDone())
    [given] = world.answers
    assert given.status is None
    assert given.error
    assert given.disposition is Disposition.RETRY
    world.push()
    world.accept()


@given(noise=st.binary(max_size=200), cut=st.integers(0, 200))
def test_random_bytes(noise: bytes, cut: int) -> None:
    """After any bytes the push ends in time, without an exception."""
    world = World()
    world.answered(noise[:cut], noise[cut:])
    world.advance(PUSH_SECONDS)
    world.advance(ANSWER_SECONDS)
    assert len(world.answers) == 1
    assert world.getDelayedCalls() == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(world: World, status: int) -> None:
    """A loop of redirects is one request, and pauses."""
    world.answered(
        b"HTTP/1.1 %d Moved\r\nLocation: /base/push/shop\r\nContent-Length: 0\r\n\r\n" % status
    )
    assert world.answers[0].disposition is Disposition.PAUSE
    assert len(world.tcpClients) == 1
    assert world.lines[0].value().count(b"POST") == 1


def test_informational_responses_are_skipped(world: World) -> None:
    """After any number of them the final one counts."""
    line = world.answered(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 1000)
    assert world.answers == []
    line.protocol.dataReceived(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert world.answers[0].disposition is Disposition.DELIVERED


@pytest.mark.parametrize(
    ("status", "disposition"),
    [(200, Disposition.DELIVERED), (413, Disposition.SPLIT), (503, Disposition.RETRY)],
)
def test_a_response_before_the_body_is_sent(
    world: World, status: int, disposition: Disposition
) -> None:
    """A response to the headers alone counts, so that 413 is not retried."""
    world.push()
    line = world.accept()
    line.pauseProducing()  # it reads nothing more
    line.protocol.dataReceived(b"HTTP/1.1 %d x\r\nConnection: close\r\n\r\n" % status)
    line.lose(ConnectionLost())
    assert world.answers[0].disposition is disposition


# No response.


def test_a_late_response_is_ignored(world: World) -> None:
    """After 30 s without headers the connection is closed, and the batch is retried."""
    line = world.answered()
    world.advance(PUSH_SECONDS - 0.1)
    assert world.answers == []
    world.advance(0.1)
    assert world.answers == [Response(error="no answer within 30 s", timed_out=True)]
    assert line.lost
    world.push()
    world.accept().protocol.dataReceived(HEAD + b"Content-Length: 0\r\n\r\n")
    assert world.answers[1:] == [Response(200)]


@pytest.mark.parametrize("pieces", [(), (b"HTTP/1.1 200 OK\r\nContent-",)])
@pytest.mark.parametrize("end", [ConnectionDone(), ConnectionLost()])
def test_a_connection_that_is_lost_in_the_headers(
    world: World, pieces: tuple[bytes, ...], end: Exception
) -> None:
    """Half of the headers do not count; the batch is retried."""
    line = world.answered(*pieces)
    line.lose(end)
    [answer] = world.answers
    assert answer.status is None
    assert answer.disposition is Disposition.RETRY


def test_a_name_that_stops_resolving(world: World) -> None:
    """It is retried until the name resolves."""
    world.resolves = False
    world.push()
    world.advance(PUSH_SECONDS)
    [answer] = world.answers
    assert "collector" in (answer.error or "")
    assert answer.disposition is Disposition.RETRY
    world.resolves = True
    world.answered(HEAD + b"Content-Length: 0\r\n\r\n")
    assert world.answers[1:] == [Response(200)]


def test_a_connection_that_is_never_accepted(world: World) -> None:
    """After 10 s the batch is retried."""
    world.push()
    factory, seconds = world.tcpClients[-1][2:4]
    assert seconds == 10
    factory.clientConnectionFailed(None, Failure(TimeoutError("too slow")))
    world.advance(PUSH_SECONDS)
    assert world.answers[0].disposition is Disposition.RETRY


def test_a_defect_is_logged_once_and_retried(
    world: World, logged_errors: LoggedErrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that is not the network's is logged with its traceback; the batch is retried."""
    monkeypatch.setattr(world.collector.poster.dialer, "check_peer", lambda ours, theirs: 1 / 0)
    for number in range(3):
        world.push()
        world.accept()
        assert world.answers[number].error == "unexpected ZeroDivisionError, see the agent's log"
        assert world.answers[number].disposition is Disposition.RETRY
    assert len(logged_errors.flush(ZeroDivisionError)) == 1


# Retry-After.

DATE = b"Fri, 02 Jan 2026 03:04:05 GMT"


@pytest.mark.parametrize(
    ("date", "asked", "seconds"),
    [
        (b"", b"7", 7.0),
        (b"", b"0", 0.0),
        (b"", b"9" * 400, float("inf")),  # the back-off limits it
        (b"", b"-5", None),
        (b"", b"1.5", None),
        (b"", b"soon", None),
        (b"", b"", None),
        (b"", "٣".encode(), None),
        (DATE, b"Fri, 02 Jan 2026 03:05:05 GMT", 60.0),
        (DATE, b"Fri, 02 Jan 1970 03:05:05 GMT", 0.0),
        (b"", b"Fri, 02 Jan 2026 03:05:05 GMT", None),
        (b"soon", b"Fri, 02 Jan 2026 03:05:05 GMT", None),
        (DATE, b"Fri, 02 Foo 2026 03:05:05 GMT", None),
        (DATE, b"Fri, 99 Jan 2026 99:99:99 GMT", None),
        (DATE, b"Fri, 02 Jan 99999 03:05:05 GMT", None),
        (DATE, b"Fri, 02 Jan " + b"9" * 400 + b" 03:05:05 GMT", None),
        (DATE, b"Fri, 02 Jan 2026 03:05:05", None),
    ],
)
def test_retry_after(date: bytes, asked: bytes, seconds: float | None) -> None:
    """Seconds, or a date relative to the response's; anything else is ignored."""
    assert _retry_after(Headers({b"Date": [date], b"Retry-After": [asked]})) == seconds


@given(
    date=st.sampled_from([b"", DATE]),
    asked=st.one_of(
        st.binary(max_size=60),
        st.lists(
            st.sampled_from([b"Fri,", b"02", b"Jan", b"2026", b"99999", b"1:2:3", b"-1", b"GMT"])
        ).map(b" ".join),
    ),
)
def test_any_retry_after(date: bytes, asked: bytes) -> None:
    """Any value gives None or seconds that are not negative."""
    seconds = _retry_after(Headers({b"Date": [date], b"Retry-After": [asked]}))
    assert seconds is None or seconds >= 0
