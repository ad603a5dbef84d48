"""The sink that posts windows to a collector of OpenTelemetry, by OTLP over HTTP."""

from __future__ import annotations

import attrs
from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from goloagent.concurrency.cooperation import cooperate
from goloagent.concurrency.steps import Steps
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.poster import Poster, located
from goloagent.outputs.seconds import SecondsBatch
from goloagent.outputs.sink import BatchLimits, Disposition, Response
from goloagent.outputs.sinks.otlp.export_request import export_request
from goloagent.outputs.sinks.stored_samples import explained, send_missing

CONTENT_TYPE = "application/x-protobuf"
DEFAULT_PATH = "/v1/metrics"

# A collector passes on the refusal of another server, which may be that of a series of its own.
_PASSED_ON = "Permanent error"
_WRONG = {
    "native histograms are disabled": (
        "Prometheus accepts no native histograms: start it with --enable-feature=native-histograms"
    ),
}


class OtlpSink:
    """The receiver at `url`, to which `poster` posts."""

    _log = Logger()

    def __init__(
        self, url: str, poster: Poster, clock: IReactorTime, path: str = DEFAULT_PATH
    ) -> None:
        self.url = url
        self.limits = BatchLimits(max_results=64, seconds=1.0)
        self.poster = poster
        self._clock = clock
        self._path = path
        self._warnings: set[str] = set()

    async def send(self, run: RunLabels, batch: SecondsBatch, ordinal: int) -> Response:
        """Send the windows of a batch, without those that Prometheus says it has."""

        async def post(part: SecondsBatch) -> Response:
            body = await self._encode(run, part)
            response = await self.poster.post(self._path, body, CONTENT_TYPE, run.trace_headers)
            response = response.unless_page().unless_cut()
            if response.disposition is Disposition.DELIVERED:
                return self._partial(response)
            # An error is a protobuf message, of which only the text is readable.
            text = "".join(filter(str.isprintable, response.text))
            if _PASSED_ON in text and response.disposition is Disposition.SPLIT:
                return Response.refused(f"{response.status} {text[:200]}")
            response = explained(attrs.evolve(response, text=text), _WRONG)
            return located(response, "no receiver of OTLP")

        return await send_missing(batch, post)

    async def check(self) -> str | None:
        """Return why the receiver cannot be reached, or None."""
        return await self.poster.check()

    async def close(self) -> None:
        """Close the connections."""
        await self.poster.close()

    async def _encode(self, run: RunLabels, batch: SecondsBatch) -> bytes:
        body = b""

        def steps() -> Steps[None]:
            nonlocal body
            request = yield from export_request(run, batch)
            body = request.SerializeToString()

        await cooperate(self._clock, steps())
        return body

    def _partial(self, response: Response) -> Response:
        """Return a refusal if data points were rejected, so that their windows are counted."""
        try:
            partial = _decode(response.body).partial_success
        except (DecodeError, ParseError):
            return response  # some receivers respond with text
        if partial.rejected_data_points:
            reason = partial.error_message or "no reason is given"
            return Response.refused(
                f"{partial.rejected_data_points} data points were rejected: {reason}"
            )
        if partial.error_message and len(self._warnings) < _MAX_WARNINGS:
            if partial.error_message not in self._warnings:
                self._log.warn("{url} warns: {text}", url=self.url, text=partial.error_message)
            self._warnings.add(partial.error_message)
        return response


def _decode(body: bytes) -> ExportMetricsServiceResponse:
    """Return the message in a body; some receivers respond with JSON, whatever they are sent."""
    found = ExportMetricsServiceResponse()
    if body.startswith(b"{"):
        Parse(body.decode("utf-8", "replace"), found, ignore_unknown_fields=True)
    else:
        found.ParseFromString(body)
    return found


# Different warnings that are logged.
_MAX_WARNINGS = 16
