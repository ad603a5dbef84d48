"""The endpoints of the agent: its identity, features and capacity, and the clocks of its host."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import attrs
from msgspec import Meta, Struct

from goloagent import VERSION
from goloagent.core.job_members import FEATURES
from goloagent.host.identity import Identity
from goloagent.http.api.endpoint import Response, endpoint
from goloagent.http.server.request import Request


class CapacityResource(Struct, frozen=True):
    """The resources of the agent and its load tests."""

    cpus: int
    memory_bytes: Annotated[int, Meta(description="of the host")]
    descriptors: Annotated[int, Meta(description="the hard limit of open files; -1 for none")]


class AgentResource(Struct, frozen=True):
    """An agent; `id` is made once, and stays the same over restarts."""

    id: str
    boot: Annotated[str, Meta(description="of the host; see /clock")]
    name: str
    version: str
    features: Annotated[tuple[str, ...], Meta(description="for the header Golo-Requires")]
    capacity: CapacityResource


class ClockResource(Struct, frozen=True):
    """The clocks of the host; the monotonic one counts from its `boot` and is never set."""

    boot: str
    monotonic_ns: int
    time: datetime


@attrs.frozen
class AgentRoutes:
    """``/agent`` and ``/clock``."""

    identity: Identity
    now: Callable[[], datetime]

    @endpoint("GET", "/agent", {200: Response("The agent.", AgentResource)})
    def get_agent(self, request: Request) -> bytes:
        """Show the identity, the features and the capacity of the agent."""
        capacity = CapacityResource(
            cpus=len(os.sched_getaffinity(0)),
            memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        )
        found = AgentResource(
            id=self.identity.id,
            boot=self.identity.boot,
            name=socket.gethostname(),
            version=VERSION,
            features=tuple(sorted(FEATURES)),
            capacity=capacity,
        )
        return request.json_response(200, found)

    @endpoint("GET", "/clock", {200: Response("The clocks.", ClockResource)})
    def get_clock(self, request: Request) -> bytes:
        """Show the clocks of the agent's host, for clients that estimate their offset."""
        request.responseHeaders.setRawHeaders("Cache-Control", ["no-store"])
        found = ClockResource(self.identity.boot, time.monotonic_ns(), self.now())
        return request.json_response(200, found)
