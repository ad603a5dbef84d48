"""What keeps a load test's processes together, so that none outlives its job.

One class a way, each with the command line that starts a load test in it and the two ends. A way is
tried as it will be used, before the first job, since what a system forbids is known only then.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import attrs

from goloagent.core import host_fault
from goloagent.sandbox import cgroup, launcher, pid_namespace
from goloagent.sandbox.session_leader import Leader

_PROBE_SECONDS = 10.0
_PROBE = "probe"  # no job has this id
_SILENCE = "start the launcher"

Plan = Mapping[str, object]


class NotAllowed(Exception):
    """The system does not allow a containment; the message says why."""


class IsolationBackend(Protocol):
    """A way, for the load test of one job after the other.

    A load test's `leader` is its process, or its keeper, which is a child of the agent.
    """

    @property
    def name(self) -> str:
        """Its name to an operator."""

    @property
    def reports(self) -> tuple[int, ...]:
        """The descriptors on which a launch, and an exit out of our sight, are told."""

    def command(self, job_id: str, plan: Plan) -> list[str]:
        """Return the command line that becomes the load test of `plan`, and make what it needs.

        Raises:
            OSError: that cannot be made.
        """

    def terminate(self, job_id: str, leader: Leader) -> None:
        """Ask what is within reach to end."""

    def kill(self, job_id: str, leader: Leader) -> None:
        """End what is within reach, at once."""

    def clear(self, job_id: str) -> None:
        """End and remove all that is left of a job; of every job, when the id is empty.

        Raises:
            OSError: something is left.
        """


class PidNamespace:
    """A namespace of processes: the kernel ends what is in it, also when the agent is killed."""

    name = "pid-namespace"
    reports = (launcher.STATUS_FD, pid_namespace.EXIT_FD)

    def command(self, job_id: str, plan: Plan) -> list[str]:
        """Return the launcher, its parent an init, in a namespace."""
        return pid_namespace.wrap(os.getpid(), _launcher({**plan, "agent": pid_namespace.INIT_PID}))

    def terminate(self, job_id: str, leader: Leader) -> None:
        """Have the keeper pass SIGTERM on to everything."""
        leader.signal(signal.SIGTERM)

    def kill(self, job_id: str, leader: Leader) -> None:
        """Have the keeper end everything."""
        leader.signal(pid_namespace.END_ALL)

    def clear(self, job_id: str) -> None:
        """Do nothing: a namespace is gone with the last process in it."""


class ProcessGroup:
    """The load test and what stays in its group; all else is found by its mark."""

    name = "process-group"
    reports: tuple[int, ...] = (launcher.STATUS_FD,)

    def command(self, job_id: str, plan: Plan) -> list[str]:
        """Return the launcher, which makes itself a group."""
        return _launcher(plan)

    def terminate(self, job_id: str, leader: Leader) -> None:
        """Send SIGTERM to the group."""
        leader.signal_group(signal.SIGTERM)

    def kill(self, job_id: str, leader: Leader) -> None:
        """Send SIGKILL to the group."""
        leader.signal_group(signal.SIGKILL)

    def clear(self, job_id: str) -> None:
        """Do nothing: a group is gone with the last process in it."""


class Cgroup(ProcessGroup):
    """A cgroup a job: asked to end as a group, ended as a whole.

    Args:
        parent: the agent's own cgroup, or None when it cannot be found.
        mark: what no other agent calls its jobs by.
    """

    name = "cgroup"

    def __init__(self, parent: Path | None, mark: str) -> None:
        self._parent = parent
        self._prefix = f"golo-agent-{mark.replace('/', '-')}"

    def command(self, job_id: str, plan: Plan) -> list[str]:
        """Return the launcher, which joins a new cgroup first."""
        if self._parent is None:
            raise FileNotFoundError("no cgroup v2 is mounted that the agent is in")
        directory = self._directory(self._parent, job_id)
        directory.mkdir()
        if isinstance(count := plan["max_tasks"], int):
            cgroup.limit_tasks(directory, count)
        return _launcher({**plan, "join": str(cgroup.processes(directory))})

    def kill(self, job_id: str, leader: Leader) -> None:
        """Have the kernel kill all in the cgroup; a launcher that has not joined it, too."""
        super().kill(job_id, leader)
        if self._parent is not None:
            cgroup.kill(self._directory(self._parent, job_id))

    def clear(self, job_id: str) -> None:
        """Remove the job's cgroup, or all that are left by an earlier life."""
        if self._parent is None:
            return
        if job_id:
            cgroup.remove(self._directory(self._parent, job_id))
            return
        for left in self._parent.glob(f"{self._prefix}*"):
            cgroup.remove(left)

    def _directory(self, parent: Path, job_id: str) -> Path:
        return parent / f"{self._prefix}{job_id}"


def backends(mark: str) -> tuple[IsolationBackend, ...]:
    """Return every way, the surest first, for the agent that marks its jobs by `mark`."""
    return (PidNamespace(), Cgroup(cgroup.current_cgroup(), mark), ProcessGroup())


def select(
    wanted: str | None, user: str | None, ways: Sequence[IsolationBackend]
) -> IsolationBackend:
    """Return the first of `ways` that can hold load tests of `user`, or the one called `wanted`.

    The last can always.

    Raises:
        NotAllowed: it is not to be had, and was asked for by name.
    """
    *tried, last = ways
    for way in tried:
        if wanted not in (None, way.name):
            continue
        refusal = probe(way, user)
        if refusal is None:
            return way
        if wanted is not None:
            raise NotAllowed(refusal)
    return last


def probe(
    way: IsolationBackend, user: str | None, closed: Mapping[str, object] | None = None
) -> str | None:
    """Come as far as executing a program; return what prevents it, if anything."""
    try:
        way.clear(_PROBE)
        try:
            report = _report(way.command(_PROBE, launch_plan("", "/", user, 2**40, closed)))
        finally:
            way.clear(_PROBE)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    # No program is called "": that the launcher says so is the success.
    return None if report.step == "exec" else report.sentence


def launch_plan(
    program: str,
    directory: str,
    user: str | None,
    max_file_bytes: int,
    closed: Mapping[str, object] | None,
    max_tasks: int | None = None,
) -> Plan:
    """Return what the launcher is told, but for what a containment adds."""
    return {
        "agent": os.getpid(),
        "join": None,
        "program": program,
        "directory": directory,
        "user": user,
        "max_file_bytes": max_file_bytes,
        "max_tasks": max_tasks,
        "closed": closed,
    }


def _launcher(plan: Plan) -> list[str]:
    return [sys.executable, "-I", "-S", launcher.__file__, json.dumps(plan)]


@attrs.frozen
class LaunchReport:
    """What a launcher said went wrong: at which step, and how the system calls it."""

    step: str
    number: int | None
    error: str

    @property
    def sentence(self) -> str:
        """The report for people."""
        number = "" if self.number is None else f" (errno {self.number})"
        return f"{self.step}: {self.error}{number}"

    @property
    def host_status(self) -> str | None:
        """Return what it means of the machine, or None where the load test itself is to blame."""
        if self.step == _SILENCE:
            return host_fault.LAUNCHER_FAILED
        status = host_fault.status_of_errno(self.number)
        if self.step != "exec":
            # Not a disk's space is short there, but the number of namespaces.
            return host_fault.NO_TASKS if status == host_fault.DISK_FULL else status
        # Others may come of a program that is cut, or wants more than there is.
        return status if status in (host_fault.NO_TASKS, host_fault.NO_DESCRIPTORS) else None


def launch_report(said: bytes) -> LaunchReport:
    """Read what a launcher that did not execute its program has said."""
    text = said.removeprefix(launcher.EXECUTING)
    try:
        report = json.loads(text)
        return LaunchReport(report["step"], report["errno"], report["error"])
    except (ValueError, KeyError, TypeError):
        return LaunchReport(_SILENCE, None, "it ended without a reason")


def _report(command: list[str]) -> LaunchReport:
    redirected = ["/bin/sh", "-c", 'exec "$@" 3>&1 4>/dev/null >/dev/null', "sh"]
    ended = subprocess.run(
        [*redirected, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=_PROBE_SECONDS,
        check=False,
    )
    return launch_report(ended.stdout)
