"""A program to run: its directory, its arguments and its variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import attrs

from goloagent.sandbox import launcher, orphans
from goloagent.sandbox.isolation import IsolationBackend, ProcessGroup

# The variables of the agent that a load test inherits.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ")


@attrs.frozen
class Invocation:
    """The arguments and variables of a program.

    Args:
        variables: the agent's, which the system sees too while it starts the program.
        given: the client's, which only the program gets; they are secret.
        has_rpc: whether the program is driven, so that it gets ``GOLO_RPC_ADDR``.
    """

    args: tuple[str, ...] = ()
    variables: Mapping[str, str] = attrs.field(factory=dict)
    given: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    has_rpc: bool = True


@attrs.frozen
class Program:
    """An executable to run, in a directory that is named after its job.

    Args:
        tag: the job's tag, by which `orphans` finds its processes.
        user: the user to run as, or None for the agent's.
        protected: the paths that `launcher` denies.
        sdk: the archive in which Python finds ``goloagent.sdk``.
    """

    path: Path
    directory: Path
    rpc_address: str
    tag: str
    user: str | None = None
    backend: IsolationBackend = attrs.Factory(ProcessGroup)
    protected: Mapping[str, object] | None = None
    sdk: Path | None = None
    invocation: Invocation = Invocation()

    @property
    def job_id(self) -> str:
        """The ID of the job."""
        return self.directory.name


def environment_of(program: Program) -> dict[bytes, bytes]:
    """Return the variables of the launcher: the program's, and marked ones of the client.

    The launcher and what isolates it, which may have the rights of root, must not follow the
    client's: variables of the C library name files to load.
    """
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    environment |= {
        orphans.VARIABLE: program.tag,
        # Python would buffer 8 KiB of results before it writes them to the pipe.
        "PYTHONUNBUFFERED": "1",
        "HOME": str(program.directory),
        "TMPDIR": str(program.directory),
        **program.invocation.variables,
    }
    if program.invocation.has_rpc:
        environment["GOLO_RPC_ADDR"] = program.rpc_address
    if program.sdk is not None:
        environment["PYTHONPATH"] = str(program.sdk)
    given = {
        f"{launcher.GIVEN}{name}".encode(): value.encode()
        for name, value in program.invocation.given.items()
    }
    return {os.fsencode(name): os.fsencode(value) for name, value in environment.items()} | given
