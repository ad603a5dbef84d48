"""The HTTP server as a Twisted factory: the routes behind the door."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from klein import Klein
from twisted.internet.interfaces import IReactorTime
from twisted.web import server

from goloagent.jobs.binaries import Binaries
from goloagent.web.access import Access
from goloagent.web.request import Door, Request

# How long a connection may be silent; each byte starts it anew.
IDLE_SECONDS = 60


class _Site(server.Site):
    def acceptableProtocols(self) -> list[bytes]:
        """Offer only the protocol that `Request` can turn away early: not HTTP/2."""
        return [b"http/1.1"]


def site(
    api: Klein,
    access: Access,
    binaries: Binaries,
    max_upload_bytes: int,
    clock: IReactorTime,
    uploaded: Callable[[int], None] = lambda count: None,
) -> server.Site:
    """Return the factory of connections to `api`, timed by `clock`."""
    door = Door(access, binaries, max_upload_bytes, uploaded)
    return _Site(
        api.resource(),
        requestFactory=partial(Request, door),
        parsePOSTFormSubmission=False,
        timeout=IDLE_SECONDS,
        reactor=clock,
    )
