"""The messages between the agent and the launcher: the launch plan and the launch report."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

import attrs

from goloagent.core import host_fault
from goloagent.sandbox import launcher

_NO_REPORT = "start the launcher"

Plan = Mapping[str, object]


def launch_plan(
    program: str,
    directory: str,
    user: str | None,
    max_file_bytes: int,
    protected: Mapping[str, object] | None,
    max_tasks: int | None = None,
) -> Plan:
    """Return the launcher's plan, except for what an isolation backend adds."""
    return {
        "agent": os.getpid(),
        "join": None,
        "program": program,
        "directory": directory,
        "user": user,
        "max_file_bytes": max_file_bytes,
        "max_tasks": max_tasks,
        "protected": protected,
    }


def launcher_command(plan: Plan) -> list[str]:
    """Return the command line that executes a plan."""
    return [sys.executable, "-I", "-S", launcher.__file__, json.dumps(plan)]


@attrs.frozen
class LaunchReport:
    """Why a program was not executed: the step that failed, its errno and error text."""

    step: str
    number: int | None
    error: str

    @property
    def sentence(self) -> str:
        """The report as a sentence."""
        number = "" if self.number is None else f" (errno {self.number})"
        return f"{self.step}: {self.error}{number}"

    @property
    def host_status(self) -> str | None:
        """The name of the `HostFault` that it indicates, or None if the load test is at fault."""
        if self.step == _NO_REPORT:
            return host_fault.LAUNCHER_FAILED
        status = host_fault.status_of_errno(self.number)
        if self.step != "exec":
            # ENOSPC is then the maximum number of namespaces, not a full disk.
            return host_fault.NO_TASKS if status == host_fault.DISK_FULL else status
        # Other errors may be those of a damaged program.
        return status if status in (host_fault.NO_TASKS, host_fault.NO_DESCRIPTORS) else None


def parse_report(status: bytes) -> LaunchReport:
    """Parse what a launcher that did not execute its program wrote to `STATUS_FD`."""
    try:
        report = json.loads(status.removeprefix(launcher.EXECUTING))
        return LaunchReport(report["step"], report["errno"], report["error"])
    except (ValueError, KeyError, TypeError):
        return LaunchReport(_NO_REPORT, None, "it ended without a reason")
