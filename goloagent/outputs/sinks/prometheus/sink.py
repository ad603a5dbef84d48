"""The sink that posts windows to Prometheus, or to another receiver of remote write 1.0.

A request is stored whole or not at all, and samples of a series must be in order. So a repeat of a
batch is refused as a whole if a part of it was stored, and its parts are sent one by one.
"""

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
from goloagent.outputs.sink import BatchLimits, Disposition, Response
from goloagent.outputs.sinks.prometheus.series_labels import series_labels
from goloagent.outputs.sinks.prometheus.write_request import Histograms, write_request

CONTENT_TYPE = "application/x-protobuf"
HEADERS = {"Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}
DEFAULT_PATH = "/api/v1/write"

# Of the newest sample of a series, or of an older one: it is stored, because no other series has
# the same labels.
_STORED = (
    *("out of order sample", "duplicate sample"),
    *("err-mimir-sample-out-of-order", "err-mimir-sample-duplicate-timestamp"),
)
_WRONG = {
    "remote write receiver needs to be enabled": (
        "Prometheus accepts no remote write: start it with --web.enable-remote-write-receiver"
    ),
    "native histograms are disabled": (
        "Prometheus accepts no native histograms: start it with"
        " --enable-feature=native-histograms, or add histograms=classic to the output's URL"
    ),
    "out of bounds": (
        "Prometheus accepts no samples that are an hour older than its newest one: set its"
        " storage.tsdb.out_of_order_time_window (2.42 also needs histograms=classic), or give up"
        " the results of this run"
    ),
    "too old sample": (
        "Prometheus accepts no samples this old: increase its"
        " storage.tsdb.out_of_order_time_window, or give up the results of this run"
    ),
    "err-mimir-sample-timestamp-too-old": (
        "Mimir accepts no samples this old: increase its out_of_order_time_window, or give up the"
        " results of this run"
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
        headers = {**HEADERS, **run.trace_headers}
        return await self._send(series_labels(run), headers, batch)

    async def check(self) -> str | None:
        """Return why the receiver cannot be reached, or None."""
        return await self.poster.check()

    async def close(self) -> None:
        """Close the connections."""
        await self.poster.close()

    async def _send(
        self, labels: Mapping[str, str], headers: Mapping[str, str], batch: SecondsBatch
    ) -> Response:
        body = await self._encode(labels, batch)
        response = await self.poster.post(self.path, body, CONTENT_TYPE, headers)
        if not _is_stored(response):
            return explained(response.unless_page())
        # The window of a batch of one is stored; the end of its series may not be.
        parts = batch.halves() if batch.units > 1 else batch.take(1)[1:]
        for part in parts if batch.units else ():
            if part.is_empty:
                continue
            response = await self._send(labels, headers, part)
            if response.disposition is not Disposition.DELIVERED:
                return response
        return Response.delivered()

    async def _encode(self, labels: Mapping[str, str], batch: SecondsBatch) -> bytes:
        body = b""

        def steps() -> Steps[None]:
            nonlocal body
            body = yield from write_request(batch, labels, self.histograms)

        await cooperate(self.clock, steps())
        return bytes(cramjam.snappy.compress_raw(body))


def explained(response: Response) -> Response:
    """Return a response, with what to do if a setting is wrong."""
    if response.disposition is not Disposition.DELIVERED:
        for text, sentence in _WRONG.items():
            if text in response.text:
                return Response.wrong(f"{response.status}: {sentence}")
    return located(response, "no remote write")


def _is_stored(response: Response) -> bool:
    """Return whether a sample of the request is stored already."""
    return response.status == 400 and any(text in response.text for text in _STORED)
