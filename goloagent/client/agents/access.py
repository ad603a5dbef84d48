"""The agents that a command asks: those of a provider, or the private and the local ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, BinaryIO

import attrs
from twisted.internet.threads import deferToThread

from goloagent.client.agents import providers
from goloagent.client.agents.address import AgentAddress
from goloagent.client.agents.api import AgentApi
from goloagent.client.agents.connection import Credentials
from goloagent.client.agents.json_client import AgentError
from goloagent.client.config.plan import FleetPlan
from goloagent.client.errors import ClientError
from goloagent.client.exit_codes import ExitCode
from goloagent.client.private_agent import agent as private


@attrs.frozen
class Access:
    """How agents are found and asked.

    Args:
        provider: None for the private agents of the user that run, and the agent on localhost.
    """

    provider: str | None = None
    tag: str = "agent"
    credentials: Credentials = attrs.field(factory=Credentials)


@attrs.frozen
class Agent:
    """An agent that answers, its name to show, and what ``/health`` says."""

    api: AgentApi
    name: str
    health: dict[str, Any]


@asynccontextmanager
async def agents_of(
    reactor: Any, access: Access, environ: Mapping[str, str]
) -> AsyncIterator[list[Agent]]:
    """Yield the agents that answer; of a provider, each must. Private ones live until the exit.

    Raises:
        ClientError: an agent of the provider does not answer, or none was found.
    """
    held: list[BinaryIO] = []
    apis: list[AgentApi] = []
    try:
        found: list[Agent] = []
        for address, lock in await _addresses(access, environ):
            if lock is not None:
                held.append(lock)
            api = AgentApi.make(reactor, address, access.credentials, environ)
            apis.append(api)
            try:
                health = await api.health()
            except AgentError:
                if access.provider is not None:
                    raise
                continue
            name = private.NAME if lock is not None else str(address)
            found.append(Agent(api, name, health))
        if not found:
            raise ClientError("no agent runs on this machine; name others by --provider")
        yield found
    finally:
        for api in apis:
            with suppress(Exception):
                await api.close()
        for lock in held:
            lock.close()


async def _addresses(
    access: Access, environ: Mapping[str, str]
) -> list[tuple[AgentAddress, BinaryIO | None]]:
    if access.provider is not None:
        addresses = await deferToThread(providers.find, access.provider, access.tag, environ)
        return [(address, None) for address in addresses]
    own: list[tuple[AgentAddress, BinaryIO | None]] = [*private.running_agents()]
    return [*own, (AgentAddress.parse("localhost"), None)]


def address_for(plan: FleetPlan, environ: Mapping[str, str]) -> AgentAddress | None:
    """Return the address of the agent of a run, or None for a private agent; may block.

    Raises:
        ClientError: the provider has too few agents, or more than one.
    """
    if plan.provider is None:
        return None
    addresses = providers.find(plan.provider, plan.tag, environ)
    if plan.agents is not None:
        if len(addresses) < plan.agents:
            raise ClientError(
                f"--agents {plan.agents}: {plan.provider} has only {len(addresses)}",
                ExitCode.NOT_READY,
            )
        addresses = addresses[: plan.agents]
    if len(addresses) > 1:
        raise ClientError(
            f"{plan.provider} has {len(addresses)} agents, and a run is on one for now: "
            "choose the first by --agents 1, or name one by --provider HOST"
        )
    return addresses[0]


def check_ready(name: str, health: Mapping[str, Any]) -> None:
    """Check what ``/health`` says.

    Raises:
        ClientError: the agent is not ready.
    """
    if health["status"] != "ready":
        raise ClientError(
            f"agent {name} is {health['status']}: {health['reason']}", ExitCode.NOT_READY
        )
