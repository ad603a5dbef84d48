"""The metrics, in a format that the client accepts."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from goloagent.http.api.endpoint import Response, endpoint
from goloagent.http.server.request import Request


@attrs.frozen
class MetricsRoutes:
    """``/metrics``; `exposition` returns a content type for an ``Accept`` header, and the body."""

    exposition: Callable[[str], tuple[str, bytes]]

    @endpoint(
        "GET",
        "/metrics",
        {
            200: Response(
                "All metrics, for Prometheus.",
                media_type="text/plain",
                other_types=(
                    "application/openmetrics-text",
                    "application/vnd.google.protobuf",
                ),
            )
        },
    )
    def get_metrics(self, request: Request) -> bytes:
        """Expose all metrics in the text format of Prometheus, in OpenMetrics or in protobuf."""
        accept = request.header_values("Accept")
        content_type, body = self.exposition(", ".join(accept))
        request.responseHeaders.setRawHeaders("Content-Type", [content_type])
        request.responseHeaders.setRawHeaders("Content-Length", [str(len(body))])
        return body
