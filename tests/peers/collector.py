"""A go-lo collector: takes ``POST /push/<name>``, keeps every batch, misbehaves when told to."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from typing import Any

import attrs
from twisted.internet import defer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site


@attrs.frozen
class Batch:
    """One push as it arrived, and what it was answered."""

    name: str
    results: list[dict[str, Any]]
    key: str | None
    headers: dict[str, str]
    answer: int | Misbehaviour

    @property
    def taken(self) -> bool:
        """Whether the agent was told that these results are stored."""
        return isinstance(self.answer, int) and 200 <= self.answer < 300

    @property
    def ids(self) -> list[str]:
        """The results' numbers, as the load test gave them."""
        return [result["sequenceID"] for result in self.results]


class Misbehaviour(Enum):
    """What a collector may do instead of answering."""

    HANG = "hang"
    DROP = "drop"


class Collector(Resource):
    """Keeps every push in `pushes`; `answer` decides the status of each, or that there is none."""

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self.isLeaf = True
        self._reactor = reactor
        self._waiting: list[tuple[str, int, defer.Deferred[None]]] = []
        self.pushes: list[Batch] = []
        self.answer: Callable[[str], int | Misbehaviour] = lambda name: 200
        self._port_number = 0

    def open(self) -> None:
        """Listen on a port of 127.0.0.1, the same one every time; `url` names it."""
        self._site = Site(self)
        self._port = self._reactor.listenTCP(self._port_number, self._site, interface="127.0.0.1")
        self._port_number = self._port.getHost().port
        self.url = f"http://127.0.0.1:{self._port_number}"

    async def close(self) -> None:
        """Stop listening."""
        await defer.maybeDeferred(self._port.stopListening)

    def batches(self, name: str) -> list[Batch]:
        """Return what was taken for jobs of this name, in order."""
        return [batch for batch in self.pushes if batch.name == name and batch.taken]

    def results(self, name: str) -> list[dict[str, Any]]:
        """Return the results taken for jobs of this name, in order."""
        return [result for batch in self.batches(name) for result in batch.results]

    @property
    def names(self) -> set[str]:
        """The names that anything was pushed to."""
        return {batch.name for batch in self.pushes}

    async def received(self, name: str, count: int, timeout_seconds: float = 30) -> None:
        """Return once at least `count` results were taken for `name`.

        Raises:
            AssertionError: they did not come in time.

        """
        if len(self.results(name)) >= count:
            return
        waiting: defer.Deferred[None] = defer.Deferred()
        self._waiting.append((name, count, waiting))
        try:
            await waiting.addTimeout(timeout_seconds, self._reactor)
        except defer.TimeoutError:
            there = len(self.results(name))
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
        answer = self.answer(name)
        results = json.loads(request.content.read())
        self.pushes.append(Batch(name, results, headers.get("idempotency-key"), headers, answer))
        self._tell()
        if answer is Misbehaviour.HANG:
            return NOT_DONE_YET
        if answer is Misbehaviour.DROP:
            request.loseConnection()
            return NOT_DONE_YET
        request.setResponseCode(answer)
        return b""

    def _tell(self) -> None:
        for name, count, waiting in list(self._waiting):
            if len(self.results(name)) >= count and not waiting.called:
                waiting.callback(None)
