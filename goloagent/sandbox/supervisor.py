"""Starts load tests, and kills all their processes at the end of a job and at the agent's start."""

from __future__ import annotations

import os
import pwd
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.process import reapProcessHandlers
from twisted.logger import Logger

from goloagent.sandbox import cgroup, orphans, peer_check
from goloagent.sandbox.isolation import IsolationBackend, ProcessGroup, backends, probe, select
from goloagent.sandbox.peer_check import Endpoint, Owner
from goloagent.sandbox.process import LoadTestProcess, Watcher, spawn
from goloagent.sandbox.program import Invocation, Program
from goloagent.sdk import archive


class ProcessSupervisor:
    """Supervises the load tests of the agent with the state directory `state`.

    Its construction kills the load tests of a previous process of the agent.

    Args:
        user: the user that load tests run as, or None for the agent's.
        isolation: the name of an isolation backend, or None for the strongest available.
        protected_paths: the paths that load tests may not access, if the system has Landlock.
        readable: those of them that load tests may read.
        in_thread: runs a function in a worker thread.

    Raises:
        IsolationUnavailable: the backend `isolation` does not work here.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        state: Path,
        user: str | None,
        rpc_address: str,
        isolation: str | None,
        protected_paths: Iterable[Path],
        readable: Iterable[Path],
        in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._reactor = reactor
        self._in_thread = in_thread
        self._current: LoadTestProcess | None = None
        self._state = state
        self._user = user
        self._rpc_address = rpc_address
        self._sdk = state / archive.NAME
        available = backends(self._tag())
        for backend in available:
            self._cleanup(backend, "", "earlier jobs")
        self._log_killed("earlier jobs", orphans.kill_tagged(self._tag()))
        self._backend = select(isolation, user, available)
        self.adopts_orphans = self._adopt_orphans()
        self._protected = self._probe_landlock(protected_paths, readable)

    @property
    def isolation(self) -> str:
        """The name of the isolation backend."""
        return self._backend.name

    @property
    def files(self) -> str:
        """The protection of the agent's files: ``landlock``, or their ``owner`` only."""
        return "owner" if self._protected is None else "landlock"

    def spawn(self, path: Path, invocation: Invocation, watcher: Watcher) -> LoadTestProcess:
        """Start the program at `path`, in its directory, which is named after its job.

        Raises:
            OSError: no process can be started.
        """
        program = Program(
            path=path,
            directory=path.parent,
            rpc_address=self._rpc_address,
            invocation=invocation,
            tag=self._tag(path.parent.name),
            user=self._user,
            backend=self._backend,
            protected=self._protected,
            sdk=self._sdk,
        )
        self._current = spawn(self._reactor, program, watcher)
        return self._current

    async def is_foreign_listener(
        self, job_id: str, pid: int, ends: tuple[Endpoint, Endpoint]
    ) -> bool:
        """Return whether the remote end of a connection is certainly not the job's.

        Args:
            pid: the process of the job that was spawned.
            ends: the local and the remote end.
        """
        owner = Owner(pid, self._tag(job_id), self._uid())
        foreign: bool = await self._in_thread(peer_check.is_foreign_listener, *ends, owner)
        return foreign

    async def may_be_load_test(self, local: tuple[str, int], remote: tuple[str, int]) -> bool:
        """Return whether the remote end of a connection may be a load test's, of any job."""
        if self._current is None or not peer_check.is_local(remote[0]):
            return False
        owner = Owner(self._current.pid, self._tag(), self._uid())
        ends = peer_check.endpoint(*local), peer_check.endpoint(*remote)
        result: bool = await self._in_thread(peer_check.may_be_load_test, *ends, owner)
        return result

    async def reap_leftovers(self, job_id: str) -> None:
        """Kill the processes that a job has left, in a worker thread: there may be many."""
        owner = f"job {job_id}"
        await self._in_thread(self._cleanup, self._backend, job_id, owner)
        # All other children of the agent are orphans of load tests.
        own_children = frozenset(reapProcessHandlers) if self.adopts_orphans else None
        killed, left = await self._in_thread(
            orphans.kill_tagged, self._tag(job_id), orphans.KILL_SECONDS, own_children
        )
        if not left:
            self._current = None
        self._log_killed(owner, (killed, left))

    def _probe_landlock(
        self, paths: Iterable[Path], readable: Iterable[Path]
    ) -> Mapping[str, object] | None:
        """Return the launcher's argument ``protected``, or None if Landlock is unavailable."""
        # A process that may write to the agent's cgroup can kill the agent.
        readable = filter(None, [cgroup.current_cgroup(), self._sdk.absolute(), *readable])
        protected = {
            "paths": [str(path.absolute()) for path in paths],
            "readable": list(map(str, readable)),
        }
        error = probe(self._backend, self._user, protected)
        if error is not None:
            self._log.warn("files are protected by their owner only: {error}", error=error)
            return None
        return protected

    def _uid(self) -> int:
        """Return the user ID of load tests."""
        return os.geteuid() if self._user is None else pwd.getpwnam(self._user).pw_uid

    def _adopt_orphans(self) -> bool:
        """Make the agent a subreaper, if all children that it did not start are then orphans.

        They are not if it is process 1, or was started with children.
        """
        if self.isolation != ProcessGroup.name or os.getpid() == 1 or orphans.has_children():
            return False
        try:
            orphans.adopt_orphans()
        except OSError as error:
            self._log.warn(
                "daemons of load tests are found by their tag only: {error}", error=error
            )
            return False
        return True

    def _tag(self, job_id: str = "") -> str:
        return orphans.env_tag(self._state, job_id)

    def _cleanup(self, backend: IsolationBackend, job_id: str, owner: str) -> None:
        try:
            backend.cleanup(job_id)
        except OSError as error:
            self._log.warn("cannot remove what {owner} left: {error}", owner=owner, error=error)

    def _log_killed(self, owner: str, counts: tuple[int, int]) -> None:
        killed, left = counts
        if killed or left:
            self._log.warn(
                "processes that outlived {owner}: {killed} killed, {left} left",
                owner=owner,
                killed=killed,
                left=left,
            )
