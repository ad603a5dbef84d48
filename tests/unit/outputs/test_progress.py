"""Delivery makes progress: the real worker and client, on a fake clock, with a model collector."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from peers.sinks import collector_sink
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IReactorPluggableNameResolver
from twisted.internet.testing import MemoryReactorClock
from unit.outputs.sinks.test_collector import Line
from unit.outputs.world import START, MemoryLog, result, running_job
from zope.interface import implementer

from goloagent.core.address import HttpUrl
from goloagent.jobs.job import Job, State
from goloagent.outputs.http import PUSH_SECONDS
from goloagent.outputs.labels import labels_of
from goloagent.outputs.results_feed import ResultsFeed
from goloagent.outputs.sink import BatchLimits
from goloagent.outputs.worker import OutputWorker
from goloagent.transport.tls import Tls

# From the largest batch down take 15 timeouts, each with a wait of up to 30 s after it.
PATIENCE_SECONDS = 15 * (PUSH_SECONDS + 30) + 60
REFUSALS = {"413": 413, "400": 400, "500": 500, "504": 504, "503": 503}


@attrs.frozen
class Limits:
    """The limits of a collector: results per second, seconds per request, and sizes.

    For a larger request `refusal` is the status, or ``hang`` or a reset of the connection.
    """

    rate: float = 1e6
    latency: float = 0.0
    max_bytes: int = 10**9
    max_results: int = 10**9
    refusal: str = "413"


class FarEnd(Line):
    """The collector's end of one connection."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._received = b""
        self._aborted = False

    def write(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        if len(rest) < length:
            return
        body, self._received = rest[:length], rest[length:]
        name = head.split(b" ", 2)[1].rpartition(b"/")[2].decode()
        self._world.asked(self, name, body)

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def answer(self, status: int) -> None:
        """Respond, unless the agent has closed the connection."""
        if not self.lost:
            self.protocol.dataReceived(b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % status)


@implementer(IReactorPluggableNameResolver)
class World(MemoryReactorClock):
    """A worker, its client, a collector with `limits`, and one run."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.nameResolver = self
        self.limits = limits
        self.refused_names: set[str] = set()
        self.bytes_received = 0
        self.requests: list[tuple[float, str, int]] = []
        client = collector_sink(self, HttpUrl.parse("http://collector:8082"), Tls())
        self.logs: dict[str, MemoryLog] = {}
        self.worker = OutputWorker(
            self,
            lambda: START + timedelta(seconds=self.seconds()),
            lambda job, batch, ordinal: client.send(labels_of(job, "agent"), batch, ordinal),
            lambda account: ResultsFeed(account, self._open, BatchLimits()),
            lambda job: None,
        )
        self.worker.start()

    def _open(self, job: Job) -> MemoryLog:
        self.logs[job.id].open += 1
        return self.logs[job.id]

    # The network.

    def resolveHostName(self, receiver: Any, hostName: str, portNumber: int = 0, **_: Any) -> Any:
        receiver.resolutionBegan(self)
        receiver.addressResolved(IPv4Address("TCP", "192.0.2.1", portNumber))
        receiver.resolutionComplete()

    def installNameResolver(self, resolver: Any) -> None:
        raise NotImplementedError

    def connectTCP(self, host: str, port: int, factory: Any, *more: Any, **named: Any) -> Any:
        connector = super().connectTCP(host, port, factory, *more, **named)
        self.callLater(0, self._accept, factory)
        return connector

    def _accept(self, factory: Any) -> None:
        line = FarEnd(self)
        line.protocol = factory.buildProtocol(None)
        line.protocol.makeConnection(line)

    # The collector.

    def asked(self, line: FarEnd, name: str, body: bytes) -> None:
        """Accept a request, and respond at its time."""
        results = body.count(b'"timestamp"')
        limits = self.limits
        self.bytes_received += len(body)
        self.requests.append((self.seconds(), name, results))
        if name in self.refused_names:
            self.callLater(0, line.answer, 404)
        elif len(body) > limits.max_bytes or (results > limits.max_results):
            if limits.refusal in REFUSALS:
                self.callLater(0, line.answer, REFUSALS[limits.refusal])
            elif limits.refusal == "reset":
                self.callLater(0, line.abortConnection)
        else:
            self.callLater(limits.latency + results / limits.rate, line.answer, 200)

    # A run.

    def begin(self, name: str = "shop", number: int = 1) -> Job:
        job = running_job(name, number)
        self.logs[job.id] = MemoryLog(job)
        self.worker.begin(job)
        return job

    def print(self, job: Job, count: int, line_bytes: int = 0) -> None:
        log = self.logs[job.id]
        first = log.lines.read
        data = b"".join(result(first + number, line_bytes) for number in range(count))
        log.content += data
        log.lines.feed(data)
        log.count()
        self.worker.on_appended(job)

    def end(self, job: Job) -> None:
        self.logs[job.id].lines.close()
        self.logs[job.id].count()
        job.state = State.FINISHED
        self.worker.end(job)

    def pass_time(self, seconds: float) -> None:
        """Advance the clock from event to event."""
        until = self.seconds() + seconds
        while True:
            following = [call.getTime() for call in self.getDelayedCalls()]
            if not following or min(following) > until:
                break
            self.advance(max(0.0, min(following) - self.seconds()))
        self.advance(max(0.0, until - self.seconds()))

    def close(self) -> None:
        """Stop, and assert that nothing is left."""
        stopped: list[object] = []
        self.worker.stop(0.0).addBoth(stopped.append)
        self.advance(0)
        assert stopped == [None]


LIMITS = st.builds(
    Limits,
    rate=st.sampled_from([0.1, 0.3, 1.0, 10.0, 100.0, 285.0, 1e4, 1e6]),
    latency=st.sampled_from([0.0, 0.5, 5.0, 15.0]),
    max_bytes=st.sampled_from([10**9, 200_000, 10_000, 1_100]),
    max_results=st.sampled_from([10**9, 1000, 17, 1]),
    refusal=st.sampled_from([*REFUSALS, "reset", "hang"]),
).filter(lambda limits: limits.latency + 1 / limits.rate < PUSH_SECONDS)
HISTORY = st.lists(
    st.tuples(st.integers(1, 600), st.sampled_from([0.0, 0.1, 1.0, 10.0])), max_size=20
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    limits=LIMITS,
    history=HISTORY,
    backlog=st.sampled_from([1, 300, 3000]),
    line_bytes=st.sampled_from([0, 1000]),
)
@example(Limits(rate=100.0), [(50, 1.0)] * 20, 20_000, 0)
@example(Limits(rate=0.1), [(50, 1.0)] * 20, 5000, 0)
@example(Limits(rate=30_000.0, max_results=1, refusal="hang"), [], 300, 0)
def test_delivery_makes_progress(
    limits: Limits, history: list[tuple[int, float]], backlog: int, line_bytes: int
) -> None:
    """At any rate above zero and from any backlog everything is delivered.

    First it is a quick one, by which any sizes may have been learnt.
    """
    world = World(Limits())
    job = world.begin()
    for count, seconds in history:
        world.print(job, count, line_bytes)
        world.pass_time(seconds)
    world.limits = limits
    world.print(job, backlog, line_bytes)
    world.end(job)
    for _ in range(12):
        before = job.results.delivered
        world.pass_time(PATIENCE_SECONDS)
        if job.fully_delivered:
            break
        assert job.results.delivered > before, (limits, job.results, world.requests[-5:])
        assert job.results.rejected == 0
    world.close()


@pytest.mark.parametrize("rate", [0.1, 0.5, 5.0, 100.0, 285.0])
def test_a_slow_collector_is_used_to_its_rate(rate: float) -> None:
    """A backlog of 20,000 is delivered nearly at the collector's rate."""
    world = World(Limits())
    job = world.begin()
    for _ in range(20):
        world.print(job, 50)
        world.pass_time(1.0)
    world.limits = Limits(rate=rate)
    world.print(job, 20_000)
    world.end(job)
    begun, most_seconds = world.seconds(), 2 * PATIENCE_SECONDS
    while not job.fully_delivered and world.seconds() < begun + most_seconds:
        world.pass_time(10)
    done = (job.results.delivered - 1000) / (world.seconds() - begun)
    print(f"a collector that takes {rate} results/s took {done:.3g}/s")
    assert done >= 0.4 * rate
    world.close()


@pytest.mark.parametrize("refusal", ["413", "400", "500", "reset", "hang"])
def test_what_is_too_large_is_learnt(refusal: str) -> None:
    """With a limit of 10 kB not much more is sent than delivered."""
    world = World(Limits(max_bytes=10_000, refusal=refusal))
    job = world.begin()
    for _ in range(100):
        world.print(job, 500)
        world.pass_time(0.5)
    world.end(job)
    world.pass_time(20 * PATIENCE_SECONDS)
    taken = len(world.logs[job.id].content)
    print(f"10 kB, {refusal}: {world.bytes_received / taken:.2f} bytes sent for each that is taken")
    assert job.fully_delivered
    assert (job.results.delivered, job.results.rejected) == (50_000, 0)
    assert world.bytes_received < 1.5 * taken
    world.close()


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthank"],
    ids=["none", "half a head", "half a body"],
)
def test_a_stop_ends_in_time_with_any_collector(answer: bytes) -> None:
    """With no response, or an incomplete one, a stop of 2 s takes 2 s."""
    world = World(Limits())
    job = world.begin()

    def asked(line: FarEnd, name: str, body: bytes) -> None:
        world.callLater(0.1, line.protocol.dataReceived, answer)

    world.asked = asked  # type: ignore[method-assign]
    world.print(job, 20_000)
    world.end(job)
    world.pass_time(3.05)
    stopped: list[float] = []
    begun = world.seconds()
    world.worker.stop(2.0).addBoth(lambda _: stopped.append(world.seconds()))
    world.pass_time(2.0)
    assert [round(at - begun, 3) for at in stopped] == [2.0]
    assert world.logs[job.id].open == 0
    pending = job.results.pending
    world.pass_time(100)
    assert job.results.pending == pending > 0


def test_a_refused_name_delays_no_other_run() -> None:
    """A run is delivered without delay for 300 s while another one gets 404."""
    world = World(Limits(rate=1e5, latency=0.01))
    world.refused_names = {"typo"}
    refused = world.begin("typo", 1)
    world.print(refused, 10)
    world.end(refused)
    healthy = world.begin("shop", 2)
    for _ in range(300):
        world.print(healthy, 500)
        world.pass_time(1.0)
        assert healthy.results.pending <= 500
    assert world.worker.status(healthy).state == "ok"
    status = world.worker.status(refused)
    assert (status.state, status.last_error) == ("holding", "404")
    probes = [seconds for seconds, name, _ in world.requests if name == "typo"]
    print(f"300 s: {healthy.results.delivered} delivered, {len(probes)} probes of the other run")
    assert 8 <= len(probes) <= 11
    world.close()
