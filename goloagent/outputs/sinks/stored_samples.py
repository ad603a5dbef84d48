"""Batches for backends that store the samples of a series in order, and refuse a repeat of them.

A request is stored whole or not at all. So a repeat of a batch is refused as a whole if a part of
it was stored, and its parts are sent one by one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from goloagent.outputs.seconds import SecondsBatch
from goloagent.outputs.sink import Disposition, Response

# Of the newest sample of a series, or of an older one: it is stored, because no other series has
# the same labels.
_STORED = (
    *("out of order sample", "duplicate sample"),
    *("err-mimir-sample-out-of-order", "err-mimir-sample-duplicate-timestamp"),
)
_REFUSALS = (400, 409)  # of Prometheus and Mimir, of Thanos
_TOO_OLD = {
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


async def send_missing(
    batch: SecondsBatch, post: Callable[[SecondsBatch], Awaitable[Response]]
) -> Response:
    """Send the windows of a batch that are not stored yet by `post`."""
    response = await post(batch)
    if not _is_stored(response):
        return response
    # The window of a batch of one is stored; the end of its series may not be.
    parts = batch.halves() if batch.units > 1 else batch.take(1)[1:]
    for part in parts if batch.units else ():
        if part.is_empty:
            continue
        response = await send_missing(part, post)
        if response.disposition is not Disposition.DELIVERED:
            return response
    return Response.delivered()


def explained(response: Response, wrong: Mapping[str, str]) -> Response:
    """Return a response, with what to do if samples are too old, or if it has a text of `wrong`."""
    if response.disposition is not Disposition.DELIVERED:
        for text, sentence in {**wrong, **_TOO_OLD}.items():
            if text in response.text:
                return Response.wrong(f"{response.status}: {sentence}")
    return response


def _is_stored(response: Response) -> bool:
    """Return whether a sample of the request is stored already."""
    return response.status in _REFUSALS and any(text in response.text for text in _STORED)
