"""Isolation backends: how the agent kills every process that a load test has started.

There are three, because no single one is allowed everywhere:

- `PidNamespace`: an agent of root, or on a host with unprivileged user namespaces. The only one by
  which the kernel kills all processes even if the agent is killed.
- `Cgroup`: the systemd unit, which delegates its cgroup and forbids namespaces.
- `ProcessGroup`: containers, whose seccomp profile forbids namespaces and whose cgroups are
  read-only. It is always available.

`select` probes them before the first job, because only the attempt shows what the system allows.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from goloagent.sandbox import cgroup, launcher, pid_namespace
from goloagent.sandbox.launch import (
    LaunchReport,
    Plan,
    launch_plan,
    launcher_command,
    parse_report,
)
from goloagent.sandbox.session_leader import SessionLeader

_PROBE_SECONDS = 10.0
_PROBE_ID = "probe"  # no job has this ID


class IsolationUnavailable(Exception):
    """The system does not allow the backend that was requested; the message has the reason."""


class IsolationBackend(Protocol):
    """Isolates one load test after the other.

    The `leader` of a load test is its first process, or the monitor of its PID namespace.
    """

    @property
    def name(self) -> str:
        """The name in `--containment` and `/health`."""

    @property
    def report_fds(self) -> tuple[int, ...]:
        """The descriptors of the launch report and, if the agent is not its parent, of the exit."""

    def command(self, job_id: str, plan: Plan) -> list[str]:
        """Create what the load test needs; return the command line that becomes it.

        Raises:
            OSError: it cannot be created.
        """

    def terminate(self, job_id: str, leader: SessionLeader) -> None:
        """Send SIGTERM to the processes of the load test."""

    def kill(self, job_id: str, leader: SessionLeader) -> None:
        """Send SIGKILL to the processes of the load test."""

    def cleanup(self, job_id: str) -> None:
        """Kill and remove what is left of a job, or of all jobs if the ID is empty.

        Raises:
            OSError: something is left.
        """


class PidNamespace:
    """A PID namespace for each load test, with a monitor process outside of it."""

    name = "pid-namespace"
    report_fds = (launcher.STATUS_FD, pid_namespace.EXIT_FD)

    def command(self, job_id: str, plan: Plan) -> list[str]:
        """Return the launcher in a namespace, as a child of the namespace's init."""
        inner = launcher_command({**plan, "agent": pid_namespace.INIT_PID})
        return pid_namespace.wrap(os.getpid(), inner)

    def terminate(self, job_id: str, leader: SessionLeader) -> None:
        """Signal the monitor, which forwards SIGTERM to all processes."""
        leader.signal(signal.SIGTERM)

    def kill(self, job_id: str, leader: SessionLeader) -> None:
        """Signal the monitor, which kills the namespace."""
        leader.signal(pid_namespace.KILL_ALL)

    def cleanup(self, job_id: str) -> None:
        """Do nothing: the kernel removes a namespace with its last process."""


class ProcessGroup:
    """The process group of the load test; processes outside of it are found by their tag."""

    name = "process-group"
    report_fds: tuple[int, ...] = (launcher.STATUS_FD,)

    def command(self, job_id: str, plan: Plan) -> list[str]:
        """Return the launcher, which creates a session and a group."""
        return launcher_command(plan)

    def terminate(self, job_id: str, leader: SessionLeader) -> None:
        """Send SIGTERM to the group."""
        leader.signal_group(signal.SIGTERM)

    def kill(self, job_id: str, leader: SessionLeader) -> None:
        """Send SIGKILL to the group."""
        leader.signal_group(signal.SIGKILL)

    def cleanup(self, job_id: str) -> None:
        """Do nothing: the kernel removes a group with its last process."""


class Cgroup(ProcessGroup):
    """A cgroup for each job: SIGTERM goes to the process group, SIGKILL to the whole cgroup.

    Args:
        parent: the agent's own cgroup, or None if it is not mounted.
        tag: the prefix of the tags of the agent's jobs, unique on the host.
    """

    name = "cgroup"

    def __init__(self, parent: Path | None, tag: str) -> None:
        self._parent = parent
        self._prefix = f"golo-agent-{tag.replace('/', '-')}"

    def command(self, job_id: str, plan: Plan) -> list[str]:
        """Create the cgroup; return the launcher, which joins it first."""
        if self._parent is None:
            raise FileNotFoundError("no cgroup v2 is mounted that the agent is in")
        directory = self._directory(self._parent, job_id)
        directory.mkdir()
        if isinstance(count := plan["max_tasks"], int):
            cgroup.limit_tasks(directory, count)
        return launcher_command({**plan, "join": str(cgroup.procs_file(directory))})

    def kill(self, job_id: str, leader: SessionLeader) -> None:
        """Kill the cgroup, and the group of a launcher that has not joined it yet."""
        super().kill(job_id, leader)
        if self._parent is not None:
            cgroup.kill(self._directory(self._parent, job_id))

    def cleanup(self, job_id: str) -> None:
        """Remove the job's cgroup, or all cgroups of a previous process of the agent."""
        if self._parent is None:
            return
        if job_id:
            cgroup.remove(self._directory(self._parent, job_id))
            return
        for leftover in self._parent.glob(f"{self._prefix}*"):
            cgroup.remove(leftover)

    def _directory(self, parent: Path, job_id: str) -> Path:
        return parent / f"{self._prefix}{job_id}"


def backends(tag: str) -> tuple[IsolationBackend, ...]:
    """Return all backends, the strongest first; `tag` is the prefix of the agent's tags."""
    return (PidNamespace(), Cgroup(cgroup.current_cgroup(), tag), ProcessGroup())


def select(
    wanted: str | None, user: str | None, available: Sequence[IsolationBackend]
) -> IsolationBackend:
    """Return the first backend that works for load tests of `user`, or the one named `wanted`.

    The last one is not probed.

    Raises:
        IsolationUnavailable: the one named `wanted` does not work.
    """
    *probed, last = available
    for backend in probed:
        if wanted not in (None, backend.name):
            continue
        error = probe(backend, user)
        if error is None:
            return backend
        if wanted is not None:
            raise IsolationUnavailable(error)
    return last


def probe(
    backend: IsolationBackend, user: str | None, protected: Mapping[str, object] | None = None
) -> str | None:
    """Launch an empty program name; return the error, or None if only its execution failed."""
    try:
        backend.cleanup(_PROBE_ID)
        try:
            plan = launch_plan("", "/", user, 2**40, protected)
            report = _run(backend.command(_PROBE_ID, plan))
        finally:
            backend.cleanup(_PROBE_ID)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if report.step == "exec" else report.sentence


def _run(command: list[str]) -> LaunchReport:
    redirected = ["/bin/sh", "-c", 'exec "$@" 3>&1 4>/dev/null >/dev/null', "sh"]
    ended = subprocess.run(
        [*redirected, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=_PROBE_SECONDS,
        check=False,
    )
    return parse_report(ended.stdout)
