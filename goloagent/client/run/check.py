"""Checks a plan against its agents, and describes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from goloagent.client import reactor
from goloagent.client.agents.access import address_for, check_ready
from goloagent.client.agents.api import AgentApi
from goloagent.client.config.plan import Plan
from goloagent.client.program.upload import upload_of
from goloagent.client.view.lines import load_of
from goloagent.core.output_parser import parse_option


def check(plan: Plan, environ: Mapping[str, str], *, offline: bool) -> str:
    """Return the description of a plan whose agents are ready.

    Raises:
        ClientError: an agent is not, or the program cannot be packed.
    """
    with upload_of(plan.program) as upload:
        size = upload.path.stat().st_size
    fleet = plan.fleet

    address = address_for(fleet, environ)

    async def work(the_reactor: Any) -> None:
        assert address is not None
        api = AgentApi.make(the_reactor, address, fleet.credentials, environ)
        check_ready(str(address), await api.health())

    if address is not None and not offline:
        reactor.run(work)
    agent = "a private agent" if address is None else str(address)
    return "\n".join(_lines(plan, size, agent))


def _lines(plan: Plan, size: int, agent: str) -> Iterator[str]:
    spec = plan.spec
    yield f"name        {plan.name}"
    yield f"program     {plan.program} ({plan.program.kind}, {size:,} bytes)"
    yield f"load        {load_of(spec)}"
    yield f"drive       {spec.drive}"
    if spec.given.args:
        yield f"arguments   {' '.join(spec.given.args)}"
    if spec.given.env:
        yield f"variables   {', '.join(spec.given.env)}"
    for file in plan.files:
        split = ", each agent gets its lines" if file.split else ""
        yield f"file        {file.path} as {file.name}{split}"
    for threshold in spec.thresholds:
        abort = ", ends the run" if threshold.abort else ""
        yield f"threshold   {': '.join(threshold.source)}{abort}"
    yield f"agent       {agent}"
    for setting in map(parse_option, plan.outputs):
        required = "" if setting.required else ", not required"
        yield f"output      {setting.name}: {setting.shown}{required}"
    if spec.outputs:
        yield f"outputs     {', '.join(spec.outputs)}"
    if plan.repeat > 1:
        yield f"runs        {plan.repeat}"
    if plan.fleet.start_at is not None:
        yield f"start       {plan.fleet.start_at:%Y-%m-%d %H:%M:%S %z}"
