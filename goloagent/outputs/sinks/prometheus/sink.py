"""The sink that posts windows to Prometheus, or to another receiver of remote write 1.0."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import cramjam
from twisted.internet.interfaces import IReactorTime

from goloagent.concurrency.cooperation import cooperate
from goloagent.concurrency.steps import Steps
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.poster import Poster, located
from goloagent.outputs.seconds import SecondsBatch
from goloagent.outputs.sink import BatchLimits, Response
from goloagent.outputs.sinks.prometheus.series_labels import series_labels
from goloagent.outputs.sinks.prometheus.write_request import Histograms, write_request
from goloagent.outputs.sinks.stored_samples import explained, send_missing

CONTENT_TYPE = "application/x-protobuf"
HEADERS = {"Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}
DEFAULT_PATH = "/api/v1/write"

_WRONG = {
    "remote write receiver needs to be enabled": (
        "Prometheus accepts no remote write: start it with --web.enable-remote-write-receiver"
    ),
    "native histograms are disabled": (
        "Prometheus accepts no native histograms: start it with"
        " --enable-feature=native-histograms, or add histograms=classic to the output's URL"
    ),
}


@attrs.define
class PrometheusSink:
    """The receiver at `url`, to which `poster` posts."""

    url: str
    poster: Poster
    clock: IReactorTime
    path: str = DEFAULT_PATH
    histograms: Histograms = Histograms.NATIVE
    limits: BatchLimits = attrs.field(factory=lambda: BatchLimits(max_results=64, seconds=1.0))

    async def send(self, run: RunLabels, batch: SecondsBatch, ordinal: int) -> Response:
        """Send the windows of a batch that are not stored yet."""
        labels, headers = series_labels(run), {**HEADERS, **run.trace_headers}

        async def post(part: SecondsBatch) -> Response:
            body = await self._encode(labels, part)
            response = await self.poster.post(self.path, body, CONTENT_TYPE, headers)
            return located(explained(response.unless_page(), _WRONG), "no remote write")

        return await send_missing(batch, post)

    async def check(self) -> str | None:
        """Return why the receiver cannot be reached, or None."""
        return await self.poster.check()

    async def close(self) -> None:
        """Close the connections."""
        await self.poster.close()

    async def _encode(self, labels: Mapping[str, str], batch: SecondsBatch) -> bytes:
        body = b""

        def steps() -> Steps[None]:
            nonlocal body
            body = yield from write_request(batch, labels, self.histograms)

        await cooperate(self.clock, steps())
        return bytes(cramjam.snappy.compress_raw(body))
