"""The agent's HTTP server without sockets: the real site with connections in memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import attrs
from klein import Klein
from twisted.internet.address import IPv4Address
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from goloagent.artifacts.store import ArtifactStore
from goloagent.artifacts.upload_space import UploadSpace
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.host.identity import Identity
from goloagent.host.readiness import Health
from goloagent.http.api.agent import AgentRoutes
from goloagent.http.api.binaries import BinaryRoutes
from goloagent.http.api.health import HealthRoutes
from goloagent.http.api.job_summaries import JobSummaries
from goloagent.http.api.jobs import JobRoutes
from goloagent.http.api.logs import LogRoutes
from goloagent.http.api.metrics import MetricsRoutes
from goloagent.http.api.queue import QueueRoutes
from goloagent.http.api.report import ReportRoutes
from goloagent.http.api.router import build_api
from goloagent.http.api.statistics import StatisticsRoutes
from goloagent.http.api.steering import SteeringRoutes
from goloagent.http.api.timeline import TimelineRoutes
from goloagent.http.auth.access import AccessPolicy
from goloagent.http.server.site import build_site
from goloagent.http.streaming.event_bus import JobEventBus
from goloagent.http.streaming.events import EventRoutes
from goloagent.http.ui.assets import PageRoutes
from goloagent.http.ui.logout import LogoutRoutes
from goloagent.jobs.database import Store
from goloagent.jobs.job import Job
from goloagent.jobs.repository import JobRepository
from goloagent.outputs.status import JobDelivery
from goloagent.wal.run_files import RunFiles
from goloagent.wal.run_log import RunLogReader, open_reader
from goloagent.wal.stats_cache import SummaryCache
from goloagent.wal.syncer import WalSyncer

NOW = datetime(2026, 1, 2, 3, 4, 5, 600000, tzinfo=timezone.utc)
IDENTITY = Identity("a7c0", "b007")
MAX_UPLOAD_BYTES = 3 * 1024 * 1024


@attrs.frozen
class Response:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wire(StringTransport):
    """A transport that is full after `room` more writes, each of more than a little.

    `shut` says that nothing more is written; `unsent` bytes wait to be taken by the client.
    """

    room: float = float("inf")
    shut = False
    unsent = 0
    offset = 0
    _tempDataLen = 0  # noqa: N815 (as in Twisted)

    @property
    def dataBuffer(self) -> bytes:
        """The unsent bytes, by the name that Twisted's transports use."""
        return bytes(self.unsent)

    def loseWriteConnection(self) -> None:
        """Close for writing."""
        self.shut = True

    def write(self, data: bytes) -> None:
        """Store data, and pause the producer if the buffer is full."""
        super().write(data)
        self.room -= len(data) > 1024
        if self.room == 0 and self.producer is not None:
            self.producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Write several pieces at once."""
        self.write(b"".join(data))


class Connection:
    """A client's connection: sent bytes reach the site at once, received ones are stored."""

    def __init__(self, factory: Any, peer: Any) -> None:
        self.transport = Wire(peerAddress=peer)
        self._clock = factory.reactor
        self._protocol = factory.buildProtocol(peer)
        self._protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        """Deliver bytes, as long as the agent has not closed, as a socket would.

        Queued pipelined requests are then parsed.
        """
        if not self.transport.disconnecting:
            self._protocol.dataReceived(data)
        while any(
            call.getTime() <= self._clock.seconds() for call in self._clock.getDelayedCalls()
        ):
            self._clock.advance(0)

    def lose(self) -> None:
        """Disconnect."""
        self._protocol.connectionLost(Failure(ConnectionDone()))

    def pause_after(self, writes: int) -> None:
        """Stop reading: after this number of blocks the transport's buffer is full."""
        self.transport.room = writes

    def stall(self) -> None:
        """Stop reading, with the transport's buffer full."""
        assert self.transport.producer is not None
        self.transport.producer.pauseProducing()

    def resume(self) -> None:
        """Read everything; then there is space for one more block."""
        self.transport.room = 1
        if self.transport.producer is not None:
            self.transport.producer.resumeProducing()

    @property
    def aborted(self) -> bool:
        """Whether the agent has aborted it."""
        return self.transport.disconnected

    @property
    def received(self) -> bytes:
        """All received bytes."""
        received: bytes = self.transport.value()
        return received

    @property
    def closed(self) -> bool:
        """Whether the agent has closed it for writing."""
        return self.transport.shut or self.transport.disconnecting

    @property
    def gone(self) -> bool:
        """Whether the agent has closed it in both directions."""
        return self.transport.disconnecting or self.transport.disconnected

    def chunks(self) -> tuple[bytes, bool]:
        """Return the received body of a chunked response, and whether it is complete."""
        head, _, rest = self.received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        assert b"Transfer-Encoding: chunked" in head
        body = b""
        while rest:
            length, _, rest = rest.partition(b"\r\n")
            if int(length, 16) == 0:
                return body, True
            body += rest[: int(length, 16)]
            rest = rest[int(length, 16) + 2 :]
        return body, False

    def responses(self, *, bodies: bool = True) -> list[Response]:
        """Parse the received bytes; without `bodies`, as responses to HEAD."""
        found = []
        rest = self.received
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            headers: dict[str, str] = {}
            for name, value in (line.split(": ", 1) for line in lines):
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
            length = int(headers.get("Content-Length", "0")) if bodies else 0
            found.append(Response(int(first.split()[1]), headers, rest[:length]))
            rest = rest[length:]
        return found

    def response(self, *, bodies: bool = True) -> Response:
        """Return the one received response."""
        [response] = self.responses(bodies=bodies)
        return response


@attrs.define
class Agent:
    """The site with a real store and real artifacts, and settings for tests."""

    directory: Path
    store: Store
    artifacts: ArtifactStore
    clock: Clock = attrs.Factory(Clock)
    access: AccessPolicy = attrs.Factory(AccessPolicy)
    health: Callable[[], Health] = Health
    exposition: Callable[[str], tuple[str, bytes]] = lambda accept: ("text/plain", b"")
    submitted: list[Job] = attrs.Factory(list)
    cancelled: Callable[[Job], bool] = lambda job: True
    delivery: JobDelivery = attrs.field(factory=JobDelivery)
    abandon: Callable[[Job, str | None], int] = lambda job, output: 0
    change: Callable[[Job, Any], Any] = lambda job, request: None
    bus: JobEventBus = attrs.field(init=False)
    running: Callable[[Job], RunStatistics | None] = lambda job: None
    in_thread: Callable[..., Any] = maybeDeferred
    failures: list[str] = attrs.Factory(list)
    upload_space: UploadSpace = attrs.Factory(lambda: UploadSpace(lambda: sys.maxsize))
    jobs: JobRepository = attrs.field(init=False)
    syncer: WalSyncer = attrs.field(init=False)

    @jobs.default
    def _make_jobs(self) -> JobRepository:
        return JobRepository(self.store, [], lambda job: None, self.failures.append)

    @syncer.default
    def _make_syncer(self) -> WalSyncer:
        return WalSyncer(
            self.clock,
            lambda *call: self.in_thread(*call),
            self.store,
            self.artifacts,
            self.jobs.save_again,
            self.failures.append,
        )

    @bus.default
    def _make_broadcast(self) -> JobEventBus:
        return JobEventBus(lambda job: self.delivery)

    def connect(self, peer: Any = IPv4Address("TCP", "127.0.0.1", 40000)) -> Connection:  # noqa: B008
        """Open a connection from `peer`."""
        factory = build_site(
            self.application(),
            self.access,
            self.artifacts,
            MAX_UPLOAD_BYTES,
            self.clock,
            self.in_thread,
            upload_space=self.upload_space,
        )
        return Connection(factory, peer)

    def application(self) -> Klein:
        """Return the routes."""
        summaries = JobSummaries(
            lambda job: self.running(job), SummaryCache(self.logs, self.in_thread).get, self.clock
        )
        return build_api(
            BinaryRoutes(self.artifacts, self.syncer),
            QueueRoutes(
                store=self.store,
                jobs=self.jobs,
                committer=self.syncer,
                submit=lambda: self.submitted.append(self.store.queued()[-1]),
                cancel=lambda job: self.cancelled(job),
                now=lambda: NOW,
                health=lambda: self.health(),
                outputs=("collector", "influx"),
            ),
            JobRoutes(
                store=self.store,
                committer=self.syncer,
                cancel=lambda job: self.cancelled(job),
                delivery=lambda job: self.delivery,
                abandon=lambda job, output: self.abandon(job, output),
                health=lambda: self.health(),
            ),
            SteeringRoutes(
                self.store,
                lambda job, request: self.change(job, request),
                lambda job: self.delivery,
            ),
            AgentRoutes(IDENTITY, lambda: NOW),
            HealthRoutes(lambda: self.health()),
            LogRoutes(self.store, self._open_log, self.clock),
            EventRoutes(self.store, self.bus, self.clock),
            StatisticsRoutes(self.store, summaries, self.clock),
            TimelineRoutes(self.store, RunFiles(self.logs).open_timeline, self.clock),
            ReportRoutes(
                self.store,
                summaries,
                RunFiles(self.logs).open_timeline,
                lambda job: self.delivery,
                self.in_thread,
            ),
            PageRoutes(),
            LogoutRoutes(self.access.token is not None),
            MetricsRoutes(lambda accept: self.exposition(accept)),
            token=self.access.token is not None,
        )

    @property
    def logs(self) -> Path:
        """The directory of logs."""
        return self.directory / "logs"

    def _open_log(self, job: Job, file: str) -> RunLogReader:
        return open_reader(self.logs, job.spec.name, job.id, file)

    def request(self, data: bytes) -> Response:
        """Return the response to one request on its own connection."""
        connection = self.connect()
        connection.send(data)
        response = connection.response(bodies=not data.startswith(b"HEAD "))
        connection.lose()
        return response

    @property
    def files(self) -> list[Path]:
        """All files of uploads; a content counts as its links."""
        kept = list(self.artifacts.ids.iterdir())
        linked = {path.resolve() for path in kept}
        contents = [path for path in self.artifacts.contents.iterdir() if path not in linked]
        return sorted([*self.artifacts.incoming.iterdir(), *kept, *contents])
