"""``golo collect`` as a Twisted service: the agent's, with pushes in the place of load tests."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.logger import Logger

from goloagent import VERSION
from goloagent.collect.components import CollectComponents, make_collect_site
from goloagent.host.readiness import Protections
from goloagent.service import AgentService
from goloagent.settings import Settings

_log = Logger()


def announce(settings: Settings, urls: Iterable[str], protections: Protections) -> None:
    """Log the first lines: version, address, outputs and directory."""
    outputs = ", ".join(f"{one.name} {one.shown}" for one in settings.outputs)
    for line in (
        f"golo collect {VERSION}",
        f"collector: {', '.join(urls)}",
        f"outputs: {outputs}",
        f"directory: {settings.state}",
    ):
        _log.info("{line}", line=line)


class CollectService(AgentService):
    """The collector with `settings`; see `AgentService`."""

    components = CollectComponents
    site = staticmethod(make_collect_site)
    announce = staticmethod(announce)
    _components: CollectComponents

    async def _recover(self) -> None:
        await self._components.restore_logs()
        await super()._recover()
        await self._components.open()

    async def _stop(self) -> None:
        self._components.idle.cancel()
        await self._components.receiver.stop()
        await super()._stop()
