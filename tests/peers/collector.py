"""A go-lo collector that stores every batch, and misbehaves on request."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Any

import attrs
import msgspec
from twisted.internet import defer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from peers.ports import free_port


@attrs.frozen
class Batch:
    """One push and its response."""

    name: str
    body: bytes
    key: str
    headers: dict[str, str]
    answer: int | Misbehaviour
    count: int

    @property
    def taken(self) -> bool:
        """Whether the response confirmed the results."""
        return isinstance(self.answer, int) and 200 <= self.answer < 300

    @property
    def stored(self) -> bool:
        """Whether the results were stored, with or without a response."""
        return self.taken or self.answer is Misbehaviour.STORE_AND_DROP

    @property
    def results(self) -> list[dict[str, Any]]:
        """The decoded results, not cached because a test may have a million."""
        return json.loads(self.body)

    @property
    def ids(self) -> list[str]:
        """The ``sequenceID`` of each result."""
        return [result["sequenceID"] for result in self.results]

    @property
    def span(self) -> tuple[str, int, int]:
        """The job ID, first and last byte of the key."""
        job_id, span = self.key.split("/")
        first, last = map(int, span.split("-"))
        return job_id, first, last


class _Numbered(msgspec.Struct):
    """The only member of a result that the collector decodes."""

    number: str | None = msgspec.field(name="sequenceID", default=None)


_decode = msgspec.json.Decoder(list[_Numbered]).decode


class Misbehaviour(Enum):
    """Faults in place of a response."""

    HANG = "hang"
    DROP = "drop"
    STORE_AND_DROP = "store the results, then drop the connection"


class Collector(Resource):
    """Stores every push in `pushes`; `answer` returns the status or fault for a name.

    A batch that contains a result whose number is in `refused` gets 422.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self.isLeaf = True
        self._reactor = reactor
        self._waiting: list[tuple[str, int, defer.Deferred[None]]] = []
        self.pushes: list[Batch] = []
        self.answer: Callable[[str], int | Misbehaviour] = lambda name: 200
        self.refused: frozenset[str] = frozenset()
        self._taken: Counter[str] = Counter()
        self._hanging: list[Request] = []
        self.port = free_port()  # it is taken by no other process while this one is closed

    def open(self) -> None:
        """Listen on a port of 127.0.0.1, on reopening the same one."""
        self._site = Site(self)
        self._listening = self._reactor.listenTCP(self.port, self._site, interface="127.0.0.1")
        self.port = self._listening.getHost().port
        self.url = f"http://127.0.0.1:{self.port}"

    async def close(self) -> None:
        """Stop listening."""
        await defer.maybeDeferred(self._listening.stopListening)

    def drop(self) -> None:
        """Drop the connections of unanswered pushes."""
        hanging, self._hanging = self._hanging, []
        for request in hanging:
            request.loseConnection()

    def of_job(self, job_id: str) -> list[tuple[str, list[str]]]:
        """Return the key and numbers of each stored batch of a job."""
        return [
            (batch.key, batch.ids)
            for batch in self.pushes
            if batch.stored and batch.span[0] == job_id
        ]

    def batches(self, name: str) -> list[Batch]:
        """Return the accepted batches of jobs with this name, in order."""
        return [batch for batch in self.pushes if batch.name == name and batch.taken]

    def results(self, name: str) -> list[dict[str, Any]]:
        """Return the accepted results of jobs with this name, in order."""
        return [result for batch in self.batches(name) for result in batch.results]

    @property
    def names(self) -> set[str]:
        """The names in the paths of all pushes."""
        return {batch.name for batch in self.pushes}

    async def received(self, name: str, count: int, timeout_seconds: float = 60) -> None:
        """Return once at least `count` results were accepted for `name`.

        Raises:
            AssertionError: there were fewer in time.
        """
        if self._taken[name] >= count:
            return
        waiting: defer.Deferred[None] = defer.Deferred()
        self._waiting.append((name, count, waiting))
        try:
            await waiting.addTimeout(timeout_seconds, self._reactor)
        except defer.TimeoutError:
            there = self._taken[name]
            raise AssertionError(
                f"{there} of {count} results of {name} after {timeout_seconds} s"
            ) from None
        finally:
            self._waiting = [entry for entry in self._waiting if entry[2] is not waiting]

    def render_POST(self, request: Request) -> bytes | int:
        push, name = request.path.decode("ascii").split("/")[1:]
        assert push == "push", request.path
        headers = {
            key.decode("ascii").lower(): values[-1].decode("latin-1")
            for key, values in request.requestHeaders.getAllRawHeaders()
        }
        body = request.content.read()
        results = _decode(body)
        answer = self.answer(name)
        if self.refused.intersection(result.number for result in results):
            answer = 422
        batch = Batch(name, body, headers["idempotency-key"], headers, answer, len(results))
        self.pushes.append(batch)
        if batch.taken:
            self._taken[name] += batch.count
        self._tell()
        if isinstance(answer, int):
            request.setResponseCode(answer)
            return b"refused" if answer == 422 else b""
        if answer is Misbehaviour.HANG:
            self._hanging.append(request)
            request.notifyFinish().addErrback(lambda _: self._forget(request))
        else:
            request.loseConnection()
        return NOT_DONE_YET

    def _forget(self, request: Request) -> None:
        if request in self._hanging:
            self._hanging.remove(request)

    def _tell(self) -> None:
        for name, count, waiting in list(self._waiting):
            if self._taken[name] >= count and not waiting.called:
                waiting.callback(None)
