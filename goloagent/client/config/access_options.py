"""The options of commands that ask agents about runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from goloagent.client.config.run_options import Command, Options, with_options

if TYPE_CHECKING:
    from goloagent.client.agents.access import Access


def access_options(command: Command) -> Command:
    """Add the options."""
    return with_options(command, _OPTIONS)


_OPTIONS: Options = (
    (
        ("--provider", "-p"),
        "where agents are from, see golo run --help [default: the private agents that run, and "
        "localhost]",
        {},
    ),
    (("--agent-tag",), "the tag of digitalocean's droplets", {"default": "agent"}),
    (
        ("--token-file",),
        "the bearer token of the agents",
        {"type": click.Path(path_type=Path), "metavar": "FILE"},
    ),
    (
        ("--ca",),
        "authorities (PEM) of the agents' certificates",
        {"type": click.Path(path_type=Path), "metavar": "FILE"},
    ),
)


def access_of(params: dict[str, Any]) -> Access:
    """Return the access that the options of a command describe."""
    from goloagent.client.agents.access import Access
    from goloagent.client.agents.connection import Credentials

    return Access(
        params["provider"], params["agent_tag"], Credentials(params["token_file"], params["ca"])
    )
