"""The HTTP server as a Twisted factory: connections to the routes of the API."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web import http, server

from goloagent.artifacts.store import ArtifactStore
from goloagent.artifacts.upload_space import UploadSpace
from goloagent.concurrency.cooperation import TurnQueue
from goloagent.core.job_spec import MAX_REQUEST_BYTES
from goloagent.http.api.router import route_check
from goloagent.http.auth.access import AccessPolicy
from goloagent.http.auth.audit import Audit
from goloagent.http.server import framing
from goloagent.http.server.channel import Channel
from goloagent.http.server.connections import Connections
from goloagent.http.server.context import RequestContext
from goloagent.http.server.limits import Limits
from goloagent.http.server.request import Request
from goloagent.http.upload import form


class _Site(server.Site):
    def log(self, request: http.Request) -> None:
        """Write no access log; the audit log has the actions and refusals."""

    def acceptableProtocols(self) -> list[bytes]:
        """Offer HTTP/1.1 only, because `Request` cannot refuse an HTTP/2 request early."""
        return [b"http/1.1"]


def build_site(
    api: Klein,
    access: AccessPolicy,
    artifacts: ArtifactStore,
    max_upload_bytes: int,
    clock: IReactorTime,
    in_thread: Callable[..., Deferred[Any]],
    on_upload_bytes: Callable[[int], None] = lambda count: None,
    limits: Limits = Limits(),  # noqa: B008 (a value)
    on_refusal: Callable[[int], None] = lambda status: None,
    upload_space: UploadSpace | None = None,
    max_request_bytes: int = MAX_REQUEST_BYTES,
) -> server.Site:
    """Return the factory of connections to `api`; uploads are written by `in_thread`.

    Raises:
        RuntimeError: the installed Twisted or multipart lacks a private part that is used.
    """
    framing.check_hooks()
    form.check_hooks()
    audit = Audit(clock.seconds, on_refusal)
    context = RequestContext(
        access,
        route_check(api),
        artifacts,
        max_upload_bytes,
        audit,
        in_thread,
        on_upload_bytes,
        max_request_bytes,
        upload_space or UploadSpace(lambda: sys.maxsize),
    )
    factory = _Site(
        api.resource(),
        requestFactory=partial(Request, context),
        parsePOSTFormSubmission=False,
        timeout=None,  # `Channel` has deadlines
        reactor=clock,
    )
    factory.protocol = partial(  # type: ignore[assignment, method-assign]
        Channel,
        limits,
        Connections(limits, clock.seconds),
        audit,
        turns=TurnQueue(clock),
        discard_turns=TurnQueue(clock),
    )
    return factory
