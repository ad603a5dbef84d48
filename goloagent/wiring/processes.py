"""The supervisor of load test processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from goloagent.host.startup_error import StartupError, reason
from goloagent.sandbox.isolation import IsolationUnavailable
from goloagent.sandbox.supervisor import ProcessSupervisor
from goloagent.sdk import archive
from goloagent.settings import AUTO

if TYPE_CHECKING:
    from goloagent.wiring.components import Components


def make_process_supervisor(parts: Components) -> ProcessSupervisor:
    """Return the supervisor, and install the SDK that load tests import.

    Raises:
        StartupError: the isolation backend of ``--containment`` is unavailable.
    """
    settings, wanted = parts.settings, parts.settings.containment
    try:
        archive.install(settings.state)
    except OSError as error:
        parts.state.add_notice(
            f"load tests in Python cannot import goloagent.sdk: {settings.state}/"
            f"{archive.NAME} cannot be written: {reason(error)}; restart the agent to retry"
        )
    try:
        processes = ProcessSupervisor(
            parts.reactor,
            settings.state,
            settings.run_as,
            settings.rpc_address,
            None if wanted == AUTO else wanted,
            settings.own_paths,
            settings.certificates,
            parts.threads.critical.run,
        )
    except IsolationUnavailable as error:
        raise StartupError(f"--containment {wanted}: {error}") from None
    parts.state.set_protections(processes=processes.isolation, files=processes.files)
    return processes
