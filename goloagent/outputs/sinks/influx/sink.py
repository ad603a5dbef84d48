"""The sinks that write the points of results, or of windows of the timeline, to InfluxDB."""

from __future__ import annotations

from typing import Generic, TypeVar

from twisted.internet.interfaces import IReactorTime

from goloagent.concurrency.cooperation import cooperate
from goloagent.concurrency.steps import Steps
from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.poster import Poster
from goloagent.outputs.seconds import SecondsBatch
from goloagent.outputs.sink import BatchLimits, Disposition, Response
from goloagent.outputs.sinks.influx.answers import explained
from goloagent.outputs.sinks.influx.points import Body, ResultEncoder, window_bodies

CONTENT_TYPE = "text/plain; charset=utf-8"

BatchT = TypeVar("BatchT", Batch, SecondsBatch)


class InfluxSink(Generic[BatchT]):
    """The database at `path` of `url`, to which `poster` posts."""

    limits = BatchLimits()

    def __init__(self, url: str, poster: Poster, clock: IReactorTime, path: str) -> None:
        self.url = url
        self.poster = poster
        self._clock = clock
        self._path = path

    async def send(self, run: RunLabels, batch: BatchT, ordinal: int) -> Response:
        """Write the points of a batch; a repeat replaces the same points."""
        bodies: list[Body] = []

        def steps() -> Steps[None]:
            bodies.extend((yield from self._bodies(run, batch, ordinal)))

        await cooperate(self._clock, steps())
        for body in bodies:
            response = await self.poster.post(
                self._path, body.text, CONTENT_TYPE, run.trace_headers
            )
            response = explained(response.unless_page(), body.points)
            if response.disposition is not Disposition.DELIVERED:
                return response
        return Response.delivered()

    async def check(self) -> str | None:
        """Return why the database cannot be reached, or None."""
        return await self.poster.check()

    async def close(self) -> None:
        """Close the connections."""
        await self.poster.close()

    def _bodies(self, run: RunLabels, batch: BatchT, ordinal: int) -> Steps[list[Body]]:
        raise NotImplementedError


class InfluxResultSink(InfluxSink[Batch]):
    """Writes a point for each result."""

    def __init__(self, url: str, poster: Poster, clock: IReactorTime, path: str) -> None:
        super().__init__(url, poster, clock, path)
        self._encoder = ResultEncoder()

    def _bodies(self, run: RunLabels, batch: Batch, ordinal: int) -> Steps[list[Body]]:
        return self._encoder.bodies(run, batch, ordinal)


class InfluxSecondsSink(InfluxSink[SecondsBatch]):
    """Writes a point for each window of the timeline."""

    limits = BatchLimits(max_results=256, seconds=1.0)

    def _bodies(self, run: RunLabels, batch: SecondsBatch, ordinal: int) -> Steps[list[Body]]:
        return window_bodies(run, batch)
