"""A receiver of OTLP metrics over HTTP, which decodes requests with the same protocol."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import attrs
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from twisted.internet import reactor, task
from twisted.internet.defer import maybeDeferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

Key = tuple[str, tuple[tuple[str, str], ...]]


@attrs.define(eq=False)
class OtlpReceiver(Resource):
    """Keeps the newest version of each data point, by metric and attributes and then by time.

    ``points`` has values, or count, sum and buckets of histograms, or None at the end of a stream.
    Without ``answers`` it stores requests and does not respond.
    ``reject`` returns how many data points of a request are rejected, and why.
    """

    points: dict[Key, dict[int, Any]] = attrs.Factory(dict)
    resources: list[dict[str, str]] = attrs.Factory(list)
    requests: int = 0
    repeated: int = 0
    status: int = 200
    answers: bool = True
    unanswered: int = 0
    reject: Callable[[ExportMetricsServiceRequest], tuple[int, str]] = lambda request: (0, "")

    def __attrs_post_init__(self) -> None:
        super().__init__()
        self.isLeaf = True
        self._port = reactor.listenTCP(0, Site(self), interface="127.0.0.1")

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port.getHost().port}"

    async def close(self) -> None:
        """Stop listening."""
        await maybeDeferred(self._port.stopListening)

    def newest(self, name: str, **attributes: str) -> Any:
        """Return the newest value of the one stream of a metric with some attributes."""
        (points,) = (
            points
            for (metric, own), points in self.points.items()
            if metric == name and attributes.items() <= dict(own).items()
        )
        return points[max(at for at, value in points.items() if value is not None)]

    async def stored(self) -> None:
        """Wait until a request was stored and not answered."""
        for _ in range(600):
            if self.unanswered:
                return
            await task.deferLater(reactor, 0.1)
        raise AssertionError("no request came")

    def render_POST(self, request: Request) -> bytes | int:
        """Take a request."""
        assert request.path == b"/v1/metrics", request.path
        assert request.getHeader("content-type") == "application/x-protobuf"
        body = request.content.read()
        if request.getHeader("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.requests += 1
        request.setResponseCode(self.status)
        if self.status != 200:
            return b"not now"
        decoded = ExportMetricsServiceRequest.FromString(body)
        request.setHeader("content-type", "application/x-protobuf")
        answer = ExportMetricsServiceResponse()
        rejected, why = self.reject(decoded)
        if rejected:
            answer.partial_success.rejected_data_points = rejected
            answer.partial_success.error_message = why
        else:
            self._store(decoded)
        if not self.answers:
            self.unanswered += 1
            return NOT_DONE_YET
        return bytes(answer.SerializeToString())

    def _store(self, request: ExportMetricsServiceRequest) -> None:
        for resource in request.resource_metrics:
            own = {one.key: one.value.string_value for one in resource.resource.attributes}
            if own not in self.resources:
                self.resources.append(own)
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in getattr(metric, metric.WhichOneof("data")).data_points:
                        attributes = sorted(
                            (one.key, one.value.string_value) for one in point.attributes
                        )
                        stream = self.points.setdefault((metric.name, tuple(attributes)), {})
                        value = _value(point)
                        if point.time_unix_nano in stream:
                            assert stream[point.time_unix_nano] == value, "a repeat has other data"
                            self.repeated += 1
                        stream[point.time_unix_nano] = value


def _value(point: Any) -> Any:
    if point.flags & 1:
        return None
    if not hasattr(point, "scale"):
        return getattr(point, point.WhichOneof("value"))
    assert point.scale == 8
    buckets = {
        point.positive.offset + place: count
        for place, count in enumerate(point.positive.bucket_counts)
        if count
    }
    assert point.count == point.zero_count + sum(buckets.values())
    return point.count, point.sum, buckets
