"""The output to a collector, and its log lines at start and stop."""

from __future__ import annotations

import attrs
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.logger import Logger

from goloagent.core.address import is_loopback
from goloagent.outputs.availability import Availability
from goloagent.outputs.sinks.collector import CollectorSink


@attrs.define
class Output:
    """A sink and its availability."""

    collector: CollectorSink
    availability: Availability
    _checking: Deferred[None] | None = attrs.field(init=False, default=None)

    _log = Logger()

    def start(self) -> None:
        """Connect once, so that an operator sees early if the collector is missing."""
        self._checking = ensureDeferred(self._check())
        self._checking.addErrback(lambda failure: failure.trap(CancelledError))

    async def stop(self) -> None:
        """Log how many results are pending, and close the connections."""
        if self._checking is not None:
            self._checking.cancel()
        self.availability.stopped()
        await self.collector.client.close()

    async def _check(self) -> None:
        url, proxy, token = self.collector.url, self.collector.proxy, self.collector.token
        is_plain = url.scheme == "http"
        if proxy is not None:
            self._log.info(
                "collector {url}: through the proxy {proxy} ({variable})",
                url=url,
                proxy=proxy.url,
                variable=proxy.variable,
            )
        if token is not None and is_plain and not is_loopback(url.host):
            self._log.warn("collector {url}: the token is sent unencrypted; use https://", url=url)
        error = await self.collector.check()
        if error is not None or proxy is None or not is_plain:
            # A connection to a proxy for plain HTTP says nothing about the collector.
            self.availability.checked(error)
