"""What becomes of a push, whatever a collector or the network does; connections are in memory."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import LoggedErrors
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorPluggableNameResolver
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from zope.interface import implementer

from goloagent.core.address import HttpUrl
from goloagent.outputs.http.client import MAX_CONNECTION_SECONDS
from goloagent.outputs.http.tls import Tls
from goloagent.outputs.sink import Disposition, Response
from goloagent.outputs.sinks.collector import (
    ANSWER_SECONDS,
    MAX_ANSWER_BYTES,
    PUSH_SECONDS,
    _retry_after,
    make_collector_sink,
)

BODY = b'[{"timestamp":"2026-01-02T03:04:05Z"}]'
HEAD = b"HTTP/1.1 200 OK\r\n"
TAKEN = HEAD + b"Content-Length: 0\r\n\r\n"


class Line(StringTransport):
    """A connection's end that is lost when somebody closes it."""

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
    """A reactor in memory, a collector that it reaches, and pushes to it."""

    def __init__(self) -> None:
        super().__init__()
        self.nameResolver = self
        self.resolves = True
        self.address = "192.0.2.1"
        self.collector = make_collector_sink(
            self, HttpUrl.parse("http://collector:8082/base"), Tls()
        )
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
        """Push a batch; what becomes of it comes into `answers`."""
        pushing = ensureDeferred(self.collector.send("shop", "job/0-37", BODY))
        return pushing.addCallback(self.answers.append)

    def accept(self) -> Line:
        """Let the collector accept the connection that was begun last."""
        assert len(self.tcpClients) == len(self.lines) + 1
        factory = self.tcpClients[-1][2]
        line = Line()
        line.protocol = factory.buildProtocol(None)
        line.protocol.makeConnection(line)
        self.lines.append(line)
        return line

    def answered(self, *pieces: bytes) -> Line:
        """Push, and let the collector send these bytes."""
        self.push()
        line = self.accept()
        for piece in pieces:
            if not line.lost:
                line.protocol.dataReceived(piece)
        return line


@pytest.fixture
def world() -> World:
    """Return a world in which nothing has happened."""
    return World()


def test_a_push(world: World) -> None:
    """One request with the batch, its key and no more; the connection serves the next push too."""
    line = world.answered(HEAD + b"Content-Length: 5\r\n\r\nthank")
    assert world.answers == [Response(200, text="thank")]
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
    """Where the name leads is looked up once in 5 minutes, however busy the connection is."""
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


def test_a_connection_in_use_outlives_its_age_by_its_request(world: World) -> None:
    """A push under way when connections are renewed is not disturbed; then it is closed."""
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
    """A collector that answers by HTTP/1.0 gets a new connection with each push."""
    for _ in range(3):
        assert world.answered(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").lost
    assert [answer.status for answer in world.answers] == [200] * 3
    assert b"Connection: close" in world.lines[-1].value()


# An answer that is not well-behaved.


@pytest.mark.parametrize("after", [0.0, PUSH_SECONDS - 0.5])
def test_a_body_that_stalls_changes_no_status(world: World, after: float) -> None:
    """Once the headers are there the batch is taken, however late; the body has 2 s more."""
    line = world.answered()
    world.advance(after)
    line.protocol.dataReceived(HEAD + b"Content-Length: 100\r\n\r\nthank")
    world.advance(ANSWER_SECONDS - 0.1)
    assert world.answers == []
    world.advance(0.2)
    assert world.answers == [Response(200, text="thank")]
    assert line.lost
    assert world.getDelayedCalls() == []


@pytest.mark.parametrize("answer", [b"", HEAD, HEAD + b"Content-Length: 100\r\n\r\n"])
def test_a_cancelled_push_ends_at_once(world: World, answer: bytes) -> None:
    """A cancellation is passed on at whatever moment it comes, and leaves no connection."""
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
    """64 KiB of an answer are read, and then no more of it."""
    line = world.answered(HEAD + b"Content-Length: 1000000000\r\n\r\n", *[b"x" * 5000] * 100)
    assert line.lost
    assert world.answers == [Response(200, text="x" * MAX_ANSWER_BYTES)]


def test_a_body_that_cannot_be_inflated(world: World) -> None:
    """It hides nothing of the status."""
    world.answered(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nwrong")
    assert [answer.status for answer in world.answers] == [200]


@pytest.mark.parametrize("end", [ConnectionDone(), ConnectionLost()])
def test_a_body_that_is_cut_changes_no_status(world: World, end: Exception) -> None:
    """The headers came whole: the batch is taken."""
    line = world.answered(HEAD + b"Content-Length: 100\r\n\r\nthank")
    line.lose(end)
    assert world.answers == [Response(200, text="thank")]


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
def test_garbage_is_no_answer(world: World, answer: bytes) -> None:
    """What is not HTTP is as no answer: the batch is sent again, on another connection."""
    line = world.answered(answer)
    line.lose(ConnectionDone())
    [given] = world.answers
    assert given.status is None
    assert given.error
    assert given.disposition is Disposition.RETRY
    world.push()
    world.accept()


@given(noise=st.binary(max_size=200), cut=st.integers(0, 200))
def test_noise_of_any_kind_ends(noise: bytes, cut: int) -> None:
    """Whatever comes, the push has one end within its time, and it is no exception."""
    world = World()
    world.answered(noise[:cut], noise[cut:])
    world.advance(PUSH_SECONDS)
    world.advance(ANSWER_SECONDS)
    assert len(world.answers) == 1
    assert world.getDelayedCalls() == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(world: World, status: int) -> None:
    """A loop of them is one request, and the setting is wrong."""
    world.answered(
        b"HTTP/1.1 %d Moved\r\nLocation: /base/push/shop\r\nContent-Length: 0\r\n\r\n" % status
    )
    assert world.answers[0].disposition is Disposition.PAUSE
    assert len(world.tcpClients) == 1
    assert world.lines[0].value().count(b"POST") == 1


def test_informational_answers_are_passed_over(world: World) -> None:
    """However many there are, the final one counts, or the time."""
    line = world.answered(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 1000)
    assert world.answers == []
    line.protocol.dataReceived(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert world.answers[0].disposition is Disposition.DELIVERED


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(200, Disposition.DELIVERED), (413, Disposition.SPLIT), (503, Disposition.RETRY)],
)
def test_an_answer_before_the_body_is_sent_counts(
    world: World, status: int, verdict: Disposition
) -> None:
    """A collector that answers by the headers and closes is heard: 413 must not be asked again."""
    world.push()
    line = world.accept()
    line.pauseProducing()  # it takes nothing more
    line.protocol.dataReceived(b"HTTP/1.1 %d x\r\nConnection: close\r\n\r\n" % status)
    line.lose(ConnectionLost())
    assert world.answers[0].disposition is verdict


# No answer.


def test_an_answer_after_the_end_of_the_push_counts_for_none(world: World) -> None:
    """30 s without headers are the end, its connection is not used again, and the batch is."""
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
def test_a_connection_that_dies_before_the_headers_end(
    world: World, pieces: tuple[bytes, ...], end: Exception
) -> None:
    """Half a head says nothing: the same batch again."""
    line = world.answered(*pieces)
    line.lose(end)
    [answer] = world.answers
    assert answer.status is None
    assert answer.disposition is Disposition.RETRY


def test_a_name_that_stops_resolving(world: World) -> None:
    """It is an outage as any other, and ends with it."""
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
    """After 10 s it is given up."""
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
    monkeypatch.setattr(world.collector.dialer, "check_peer", lambda ours, theirs: 1 / 0)
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
        (b"", b"9" * 400, float("inf")),  # the policy has a bound
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
    """Seconds, or a date by the collector's own clock; what is neither asks for nothing."""
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
    """Whatever is asked for, it is not negative, and no exception."""
    seconds = _retry_after(Headers({b"Date": [date], b"Retry-After": [asked]}))
    assert seconds is None or seconds >= 0
