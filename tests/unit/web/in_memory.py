"""The agent's HTTP server without sockets: the real site, its connections held in memory."""

from __future__ import annotations

from collections.abc import Callable
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

from goloagent.jobs.binaries import Binaries
from goloagent.jobs.job import Job
from goloagent.jobs.store import Store
from goloagent.web.access import Access
from goloagent.web.api import api
from goloagent.web.binaries import BinaryRoutes
from goloagent.web.health import Health, HealthRoutes
from goloagent.web.jobs import JobRoutes
from goloagent.web.metrics import MetricsRoutes
from goloagent.web.site import site

NOW = datetime(2026, 1, 2, 3, 4, 5, 600000, tzinfo=timezone.utc)
MAX_UPLOAD_BYTES = 3 * 1024 * 1024


@attrs.frozen
class Answer:
    """One HTTP answer, taken apart."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """A client's connection: what it sends reaches the site at once, what it got is kept."""

    def __init__(self, factory: Any, peer: Any) -> None:
        self.transport = StringTransport(peerAddress=peer)
        self._protocol = factory.buildProtocol(peer)
        self._protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        """Deliver bytes, as long as the agent has not closed, as a socket would."""
        if not self.transport.disconnecting:
            self._protocol.dataReceived(data)

    def lose(self) -> None:
        """Go away."""
        self._protocol.connectionLost(Failure(ConnectionDone()))

    @property
    def received(self) -> bytes:
        """All that the agent has sent."""
        received: bytes = self.transport.value()
        return received

    @property
    def closed(self) -> bool:
        """Whether the agent has closed."""
        return self.transport.disconnecting

    def answers(self, *, bodies: bool = True) -> list[Answer]:
        """Take the received bytes apart; without `bodies` as answers to HEAD."""
        found = []
        rest = self.received
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            length = int(headers.get("Content-Length", "0")) if bodies else 0
            found.append(Answer(int(first.split()[1]), headers, rest[:length]))
            rest = rest[length:]
        return found

    def answer(self, *, bodies: bool = True) -> Answer:
        """Return the one answer received."""
        [answer] = self.answers(bodies=bodies)
        return answer


@attrs.define
class Agent:
    """The site over a real store and real binaries, and knobs for a test to turn."""

    directory: Path
    store: Store
    binaries: Binaries
    clock: Clock = attrs.Factory(Clock)
    access: Access = attrs.Factory(Access)
    health: Callable[[], Health] = Health
    exposition: Callable[[str], tuple[str, bytes]] = lambda accept: ("text/plain", b"")
    submitted: list[Job] = attrs.Factory(list)
    cancelled: Callable[[Job], None] = lambda job: None

    def connect(self, peer: Any = IPv4Address("TCP", "127.0.0.1", 40000)) -> Connection:  # noqa: B008
        """Open a connection from `peer`."""
        factory = site(self.application(), self.access, self.binaries, MAX_UPLOAD_BYTES, self.clock)
        return Connection(factory, peer)

    def application(self) -> Klein:
        """Return the routes."""
        return api(
            BinaryRoutes(self.binaries, in_thread=maybeDeferred),
            JobRoutes(
                store=self.store,
                submit=lambda job: self.submitted.append(job),
                cancel=lambda job: self.cancelled(job),
                now=lambda: NOW,
                health=lambda: self.health(),
            ),
            HealthRoutes(lambda: self.health()),
            MetricsRoutes(lambda accept: self.exposition(accept)),
            token=self.access.token is not None,
        )

    def ask(self, data: bytes) -> Answer:
        """Return the answer to one request, sent on a connection of its own."""
        connection = self.connect()
        connection.send(data)
        answer = connection.answer(bodies=not data.startswith(b"HEAD "))
        connection.lose()
        return answer

    @property
    def files(self) -> list[Path]:
        """Every file of an upload, complete or not."""
        return sorted([*self.binaries.incoming.iterdir(), *self.binaries.kept.iterdir()])
