"""OTLP: what a request has, read with the same protocol, and what each response means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from unit.outputs.sinks.test_prometheus import RUN, START, batch, window

from goloagent.concurrency.steps import finish
from goloagent.core.timeline import LIMITS
from goloagent.outputs.seconds import SecondsBatch
from goloagent.outputs.sink import Disposition, Response
from goloagent.outputs.sinks.otlp.export_request import export_request, point_attributes
from goloagent.outputs.sinks.otlp.sink import OtlpSink

START_NS = round(START.timestamp() * 1000) * 1_000_000
SECOND = 1_000_000_000
SECONDS = [
    window(0, [0, 10**6, 2 * 10**6], planned=99.5, started=4, bytes=21),
    window(1, [10**6], in_flight=2, started=5, bytes=7, limited=("ports",)),
]


def streams(made: SecondsBatch) -> dict[str, list[Any]]:
    """Return the data points of each stream by the name of its metric and a further attribute."""
    sent = finish(export_request(RUN, made)).SerializeToString()
    (resource,) = ExportMetricsServiceRequest.FromString(sent).resource_metrics
    attributes = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert attributes["service.name"] == "golo"
    assert attributes["service.instance.id"] == "agent-1"
    (scope,) = resource.scope_metrics
    found: dict[str, list[Any]] = {}
    for metric in scope.metrics:
        kind = metric.WhichOneof("data")
        data = getattr(metric, kind)
        if kind != "gauge":
            assert data.aggregation_temporality == 2
        assert kind != "sum" or data.is_monotonic
        for point in data.data_points:
            own = {one.key: one.value.string_value for one in point.attributes}
            assert point_attributes(RUN).items() <= own.items()
            further = [value for name, value in own.items() if name not in point_attributes(RUN)]
            assert point.start_time_unix_nano == START_NS
            found.setdefault(" ".join([metric.name, *further]), []).append(point)
    return found


def test_a_run() -> None:
    """Sums are cumulative from the start and have a zero there; each stream has an end."""
    found = streams(batch(SECONDS, is_last=True))
    points = found["golo.calls.started"]
    assert [point.time_unix_nano - START_NS for point in points] == [
        0,
        SECOND,
        2 * SECOND,
        3 * SECOND,
    ]
    assert [point.as_int for point in points[:3]] == [0, 4, 9]
    assert [point.flags for point in points] == [0, 0, 0, 1]
    assert [point.as_int for point in found["golo.result.bytes"][:3]] == [0, 21, 28]
    assert [point.as_double for point in found["golo.planned open"][:2]] == [99.5, 0]
    assert [point.as_double for point in found["golo.calls.in_flight"][:2]] == [0, 2]
    assert [point.as_double for point in found["golo.limited ports"][:2]] == [0, 1]
    assert all(points[-1].flags == 1 for points in found.values())
    assert len(found) == 9 + 2 + len(LIMITS) + 2


def test_exponential_histograms() -> None:
    """Each duration is in the bucket of scale 8 that has its value."""
    _, first, second, end = streams(batch(SECONDS, is_last=True))["golo.duration"]
    assert (first.count, first.zero_count, first.scale) == (3, 1, 8)
    assert first.sum == pytest.approx(0.003, rel=0.001)
    base = 2 ** (1 / 2**8)
    places = [place for place, count in enumerate(first.positive.bucket_counts) if count]
    for place, seconds in zip(places, (0.001, 0.002), strict=True):
        low = base ** (first.positive.offset + place)
        assert low * (1 - 1 / 1024) <= seconds <= low * base * (1 + 1 / 1024)
    assert second.count == 4
    assert sum(second.positive.bucket_counts) == 3
    assert end.flags == 1


def test_tags_replace_no_attribute() -> None:
    """Tags keep their names, except for those of the run."""
    run = attrs.evolve(RUN, tags={"re-lease": "x", "run": "y", "job": "z"})
    assert point_attributes(run) == {
        "re-lease": "x",
        "tag.run": "y",
        "job": "z",
        "run": "run-1",
        "name": "shop",
        "job_id": "id-1",
    }


@attrs.define
class Receiver:
    """Responds with `answer`."""

    answer: Response
    bodies: list[bytes] = attrs.Factory(list)

    async def post(
        self, path: str, body: bytes, content_type: str, headers: Mapping[str, str]
    ) -> Response:
        assert (path, content_type, headers) == ("/v1/metrics", "application/x-protobuf", {})
        self.bodies.append(body)
        return self.answer

    async def check(self) -> str | None:
        return None

    async def close(self) -> None:
        """Do nothing."""


def partial(rejected: int, message: str) -> bytes:
    """Return the body of a response."""
    answer = ExportMetricsServiceResponse()
    answer.partial_success.rejected_data_points = rejected
    answer.partial_success.error_message = message
    return answer.SerializeToString()


@pytest.mark.parametrize(
    ("answer", "disposition", "text"),
    [
        (Response(200), Disposition.DELIVERED, ""),
        (Response(200, body=b"{}"), Disposition.DELIVERED, ""),
        (Response(200, body=partial(0, "deprecated")), Disposition.DELIVERED, ""),
        (
            Response(200, body=partial(3, "no exponential histograms")),
            Disposition.SPLIT,
            "3 data points were rejected: no exponential histograms",
        ),
        (Response(200, body=partial(3, "")), Disposition.SPLIT, "no reason is given"),
        (
            Response(200, body=b'{"partialSuccess":{"rejectedDataPoints":"3","new":1}}'),
            Disposition.SPLIT,
            "3 data points were rejected: no reason is given",
        ),
        (Response(200, body=b"{no JSON"), Disposition.DELIVERED, ""),
        (
            Response(200, body=partial(3, "x" * 99)[:50], is_whole=False),
            Disposition.RETRY,
            "200, and the rest of the response is lost",
        ),
        (Response(200, is_whole=False), Disposition.RETRY, "the rest of the response is lost"),
        (Response(500, text="native histograms are disabled"), Disposition.PAUSE, "start it with"),
        (Response(400, text="out of order sample"), Disposition.DELIVERED, ""),
        (
            Response(400, text="Permanent error: status 400; err = out of order sample"),
            Disposition.SPLIT,
            "400 Permanent error: status 400",
        ),
        (Response(503, text="Permanent error"), Disposition.RETRY, "503 Permanent error"),
        (Response(400, text="too old sample"), Disposition.PAUSE, "out_of_order_time_window"),
        (Response(400, text="\x08\x03\x12\x03bad"), Disposition.SPLIT, "400 bad"),
        (Response(404), Disposition.PAUSE, "404: there is no receiver of OTLP at this address"),
        (Response(401), Disposition.PAUSE, "401: correct token-file or password-file"),
        (Response(403), Disposition.PAUSE, "403: permit the output's token"),
        (Response(307), Disposition.PAUSE, "307: redirects are not followed; correct the output's"),
        (Response(415, text="no gzip"), Disposition.PAUSE, "415 no gzip: add gzip=no"),
        (Response(503), Disposition.RETRY, "503"),
        (Response(200, text="<html>\n"), Disposition.PAUSE, "200 with a web page"),
    ],
)
def test_responses(answer: Response, disposition: Disposition, text: str) -> None:
    """Data points that are rejected are said and counted, and others are delivered."""
    receiver = Receiver(answer)
    found: list[Response] = []
    sink = OtlpSink("http://there", receiver, Clock())
    ensureDeferred(sink.send(RUN, batch(SECONDS), 0)).addCallback(found.append)
    assert found[0].disposition is disposition
    assert text in str(found[0])
    assert ExportMetricsServiceRequest.FromString(receiver.bodies[0]).resource_metrics


@attrs.define
class Ordered(Receiver):
    """Stores samples as the receiver of Prometheus does: in order, of a request all or none."""

    stored: dict[str, dict[int, bytes]] = attrs.Factory(dict)

    async def post(
        self, path: str, body: bytes, content_type: str, headers: Mapping[str, str]
    ) -> Response:
        self.bodies.append(body)
        new: dict[str, dict[int, bytes]] = {}
        (resource,) = ExportMetricsServiceRequest.FromString(body).resource_metrics
        for metric in resource.scope_metrics[0].metrics:
            for point in getattr(metric, metric.WhichOneof("data")).data_points:
                name = f"{metric.name} {point.attributes}"
                at, value = point.time_unix_nano, point.SerializeToString()
                had = self.stored.get(name, {})
                if at < max(had, default=0):
                    return Response(400, text="out of order sample\n")
                if had.get(at, value) != value:
                    return Response(400, text="duplicate sample for timestamp\n")
                new.setdefault(name, {})[at] = value
        for name, samples in new.items():
            self.stored.setdefault(name, {}).update(samples)
        return self.answer


@pytest.mark.parametrize("stored", range(len(SECONDS) + 1))
def test_a_repeat_for_prometheus(stored: int) -> None:
    """It refuses what it has; the other windows are stored, and none counts as rejected."""
    whole, once = Ordered(Response(200)), Ordered(Response(200))

    def send(receiver: Ordered, made: SecondsBatch) -> Disposition:
        found: list[Response] = []
        sink = OtlpSink("http://there", receiver, Clock())
        ensureDeferred(sink.send(RUN, made, 0)).addCallback(found.append)
        return found[0].disposition

    assert send(once, batch(SECONDS, is_last=True)) is Disposition.DELIVERED
    if stored:
        assert send(whole, batch(SECONDS[:stored])) is Disposition.DELIVERED
    for first in (0, 0, 2000):
        assert send(whole, batch(SECONDS, first, is_last=True)) is Disposition.DELIVERED
        assert whole.stored == once.stored


def test_runs_share_no_series_of_prometheus() -> None:
    """It makes a series of further attributes of a resource, whose samples may be refused."""
    request = finish(export_request(RUN, batch(SECONDS)))
    (resource,) = request.resource_metrics
    names = {one.key for one in resource.resource.attributes}
    assert names == {"service.name", "service.instance.id"}
