"""Makes sinks as the agent does, for tests of a sink with a real backend."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor

from goloagent.concurrency.threads import Pool
from goloagent.core.address import HttpUrl
from goloagent.core.output_parser import parse_option
from goloagent.outputs.http import HttpPoster
from goloagent.outputs.registry import SinkContext, make_sink
from goloagent.outputs.sinks.collector import CollectorSink
from goloagent.transport.client import make_client
from goloagent.transport.credentials import TokenFile
from goloagent.transport.dialer import PeerCheck
from goloagent.transport.proxy import Proxy
from goloagent.transport.tls import Tls


async def trust(*_: object) -> None:
    """Accept any peer."""


def collector_sink(
    reactor: Any,
    url: HttpUrl,
    tls: Tls,
    proxy: Proxy | None = None,
    token: TokenFile | None = None,
    check_peer: PeerCheck | None = None,
) -> CollectorSink:
    """Return the sink for the collector at `url`, whose access needs no files and variables."""
    dialer, client = make_client(reactor, url, tls, proxy)
    if check_peer is not None:
        dialer.check_peer = check_peer
    return CollectorSink(url, HttpPoster(url, reactor, dialer, client, proxy, token))


class Sinks:
    """Makes sinks, and closes them at the end of a test."""

    def __init__(self) -> None:
        self._made: list[Any] = []
        self._threads: list[Pool] = []

    def make(self, option: str) -> Any:
        """Return the sink of an ``--output NAME=URL``."""
        thread = Pool(reactor, "output", 1)
        self._threads.append(thread)
        thread.start()
        context = SinkContext(reactor, thread, trust)
        self._made.append(make_sink(parse_option(option), context))
        return self._made[-1]

    async def close(self) -> None:
        """Close all."""
        for sink in self._made:
            await sink.close()
        for thread in self._threads:
            thread.stop()
