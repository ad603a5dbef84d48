"""The endpoint of collectors: ``POST /push/<name>``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.interfaces import IReactorTime

from goloagent.collect.marks import PartlyStored
from goloagent.collect.push import (
    InvalidPush,
    Push,
    decompress,
    key_of,
    lines_of,
    read_key,
)
from goloagent.collect.receiver import Busy, Receiver
from goloagent.concurrency.cooperation import cooperate
from goloagent.concurrency.steps import Steps
from goloagent.core import trace_context
from goloagent.core.host_fault import DISK_FAULTS
from goloagent.core.job_spec import NAME_PATTERN
from goloagent.host.readiness import Health
from goloagent.http.api.endpoint import Body, Response, endpoint
from goloagent.http.problem import Problem, disk_fault, quoted
from goloagent.http.server.request import Request

RETRY_AFTER_SECONDS = 2

_is_name = re.compile(NAME_PATTERN).fullmatch


@attrs.frozen
class PushRoutes:
    """``/push/<name>``; `health` is that after a check of free space."""

    receiver: Receiver
    clock: IReactorTime
    health: Callable[[], Health]

    @endpoint(
        "POST",
        "/push/<name>",
        {200: Response("All results are durable, from this request or an earlier one.", None, "")},
        body=Body(list[dict[str, Any]]),
        errors={
            400: "The body is no JSON array of results; nothing is stored.",
            404: "The name is none of a job.",
            413: "The body is longer than 4 MiB.",
            415: "The body is not JSON, or has an unknown encoding.",
            422: "Some of the results are stored; divide the request.",
            503: "The results cannot be stored now; retry after Retry-After.",
            507: "The disk is full.",
        },
    )
    async def post_push(self, request: Request, name: str) -> bytes:
        """Take results: a JSON array, which may be gzip.

        A repeat with the same `Idempotency-Key` is not stored again.
        """
        if not _is_name(name):
            raise Problem(
                404, f"{quoted(name[:80].encode())} is no name of a job: {NAME_PATTERN} is allowed"
            )
        body = _body(request)
        key = key_of(request.getHeader(b"Idempotency-Key") or b"")
        traces = request.header_values(trace_context.HEADER)
        found: list[tuple[bytes, int]] = []

        def steps() -> Steps[None]:
            found.append((yield from lines_of(body)))

        try:
            body = decompress(body) if _encoding(request) == b"gzip" else body
            await cooperate(self.clock, steps())
        except InvalidPush as error:
            raise Problem(400, str(error)) from None
        [(text, results)] = found
        if results:
            health = self.health()
            if health.status in DISK_FAULTS:
                raise disk_fault(health.status)
            peer = request.getClientAddress().host
            source, first, end = read_key(name, peer, key)
            trace = trace_context.parse_traceparent(traces)
            await self._store(Push(source, key, first, end, text, results, peer, trace))
        request.setHeader(b"Content-Length", b"0")
        return b""

    async def _store(self, push: Push) -> None:
        try:
            await self.receiver.push(push)
        except PartlyStored as error:
            raise Problem(422, str(error)) from None
        except Busy as error:
            raise Problem(503, str(error), {"Retry-After": str(RETRY_AFTER_SECONDS)}) from None


def _body(request: Request) -> bytes:
    """Return the body; types that web pages can send without CORS are refused."""
    media_type = (request.getHeader(b"Content-Type") or b"").partition(b";")[0].strip().lower()
    if media_type != b"application/json":
        raise Problem(415, f"Content-Type {quoted(media_type)} is not application/json")
    if _encoding(request) not in (b"identity", b"gzip"):
        raise Problem(415, "Content-Encoding is neither gzip nor identity")
    return request.buffered.getvalue()


def _encoding(request: Request) -> bytes:
    return (request.getHeader(b"Content-Encoding") or b"identity").lower()
