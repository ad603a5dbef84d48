"""The health of the agent: its state, faults of the host, and the collector."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import attrs

from goloagent.core.host_fault import RPC_ADDRESS, RPC_PORT_BUSY, HostFault, status_of
from goloagent.host.checks import HostChecks
from goloagent.host.health import HealthState
from goloagent.host.readiness import Health
from goloagent.outputs.status import CollectorStatus, OutputHealth


@attrs.frozen
class AgentHealth:
    """Combines what is known of the agent into one `Health`.

    Args:
        state: the state of the agent, its protections and notices.
        disk: the latest check of free space.
        checks: the latest checks of directories, tasks and the RPC port.
        disk_now: checks free space in the calling thread.
        queue_fault: returns the fault that pauses the queue, or None.
        rpc_address: where load tests listen, as options show it.
        rpc_is_free: returns whether no program listens there. Raises OSError or RuntimeError.
        collector: returns the state of the collector.
        outputs: returns the state of each output by name.
    """

    state: HealthState
    disk: HostChecks
    checks: HostChecks
    disk_now: Callable[[], HostFault | None]
    queue_fault: Callable[[], HostFault | None]
    rpc_address: str
    rpc_is_free: Callable[[], Awaitable[bool]]
    collector: Callable[[], CollectorStatus]
    outputs: Callable[[], Mapping[str, OutputHealth]] = dict

    def current(self) -> Health:
        """Return the health as ``/health`` shows it; waits for no disk."""
        return self._with(self._latest_fault)

    def before_write(self) -> Health:
        """Return the health after a check of free space, for a caller that is about to write."""
        return self._with(lambda: self.disk_now() or self._latest_fault())

    async def check(self) -> HostFault | None:
        """Check the host again, and return what prevents a job from running, or None."""
        fault = await self.disk.check() or await self.checks.check()
        if fault is not None:
            return fault
        try:
            if await self.rpc_is_free():
                return None
        except (OSError, RuntimeError) as error:
            sentence = f"The RPC address {self.rpc_address} cannot be checked: {error}."
            return HostFault(status_of(error) or RPC_ADDRESS, sentence)
        sentence = f"Another program listens on the RPC address {self.rpc_address}; stop it."
        return HostFault(RPC_PORT_BUSY, sentence)

    def _latest_fault(self) -> HostFault | None:
        return self.disk.fault or self.queue_fault() or self.checks.fault

    def _with(self, fault: Callable[[], HostFault | None]) -> Health:
        return attrs.evolve(
            self.state.current(fault), collector=self.collector(), outputs=dict(self.outputs())
        )
