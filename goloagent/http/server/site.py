"""The HTTP server as a Twisted factory: the routes behind the door."""

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
from goloagent.http.api.router import route_check
from goloagent.http.auth.access import AccessPolicy
from goloagent.http.auth.audit import Audit
from goloagent.http.server.channel import Channel, check_hooks
from goloagent.http.server.connections import Connections
from goloagent.http.server.limits import Limits
from goloagent.http.server.request import Request, RequestContext
from goloagent.http.server.turns import Turns


class _Site(server.Site):
    def log(self, request: http.Request) -> None:
        """Write nothing: what is worth a line is in the audit."""

    def acceptableProtocols(self) -> list[bytes]:
        """Offer only the protocol that `Request` can turn away early: not HTTP/2."""
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
) -> server.Site:
    """Return the factory of connections to `api`, timed by `clock`; uploads go `in_thread`."""
    check_hooks()
    audit = Audit(clock.seconds, on_refusal)
    upload_space = upload_space or UploadSpace(lambda: sys.maxsize)
    door = RequestContext(
        access,
        route_check(api),
        artifacts,
        max_upload_bytes,
        audit,
        in_thread,
        on_upload_bytes,
        upload_space,
    )
    factory = _Site(
        api.resource(),
        requestFactory=partial(Request, door),
        parsePOSTFormSubmission=False,
        timeout=None,  # a Channel has deadlines of its own
        reactor=clock,
    )
    factory.protocol = partial(  # type: ignore[assignment, method-assign]
        Channel,
        limits,
        Connections(limits, clock.seconds),
        audit,
        turns=Turns(clock),
        discard_turns=Turns(clock),
    )
    return factory
