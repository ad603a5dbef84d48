"""The processes of load tests from their start to their end, whatever becomes of the agent.

Starts each in the containment that this machine allows, knows its own from strangers, and ends
what outlives a job, or an earlier life of the agent.
"""

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
from goloagent.sandbox.peer_check import Endpoint, Owner, is_foreign_listener, is_load_tests
from goloagent.sandbox.process import LoadTestProcess, Program, Watcher, spawn
from goloagent.sdk import archive


class ProcessSupervisor:
    """Keeps load tests of the agent whose state is in `state`, as `user` or as the agent's own.

    First ends what is left of an earlier life.

    Args:
        wanted: the name of a containment, or None for the surest there is.
        closed: what load tests must not reach, where the system can keep them from it.
        readable: what they may read and not change.
        in_thread: runs a function off the reactor thread.

    Raises:
        NotAllowed: the containment is not to be had.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        state: Path,
        user: str | None,
        rpc_address: str,
        wanted: str | None,
        closed: Iterable[Path],
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
        found = backends(self._mark())
        for way in found:
            self._clear(way, "", "earlier jobs")
        self._tell("earlier jobs", orphans.kill_tagged(self._mark()))
        self._containment = select(wanted, user, found)
        self.adopts_orphans = self._adopt_orphans()
        self._closed = self._close(closed, readable)

    @property
    def isolation(self) -> str:
        """The name of the containment in force."""
        return self._containment.name

    @property
    def files(self) -> str:
        """What keeps load tests from the agent's files: ``landlock``, or their ``owner`` alone."""
        return "owner" if self._closed is None else "landlock"

    def spawn(self, path: Path, watcher: Watcher) -> LoadTestProcess:
        """Start the program at `path`, in its directory, which is named after its job.

        Raises:
            OSError: no process can be made.
        """
        program = Program(
            path=path,
            directory=path.parent,
            rpc_address=self._rpc_address,
            mark=self._mark(path.parent.name),
            user=self._user,
            containment=self._containment,
            closed=self._closed,
            sdk=self._sdk,
        )
        process = spawn(self._reactor, program, watcher)
        self._current = process
        return process

    async def is_foreign_listener(
        self, job_id: str, pid: int, ends: tuple[Endpoint, Endpoint]
    ) -> bool:
        """Tell whether the far end of a connection belongs to another process than the job's."""
        owner = Owner(pid, self._mark(job_id), self._uid())
        strangers: bool = await self._in_thread(is_foreign_listener, *ends, owner)
        return strangers

    async def holds(self, ours: tuple[str, int], theirs: tuple[str, int]) -> bool:
        """Tell whether the far end of a connection, `theirs`, may be a load test's."""
        if self._current is None or not peer_check.is_local(theirs[0]):
            return False
        # Whatever bears the mark of any job is one's, also if it has outlived its own.
        owner = Owner(self._current.pid, self._mark(), self._uid())
        ends = peer_check.endpoint(*ours), peer_check.endpoint(*theirs)
        held: bool = await self._in_thread(is_load_tests, *ends, owner)
        return held

    async def reap_leftovers(self, job_id: str) -> None:
        """End what a job has left behind, off the reactor thread: there may be many processes."""
        whose = f"job {job_id}"
        await self._in_thread(self._clear, self._containment, job_id, whose)
        # What else is a child of the agent by now was left behind by a load test.
        ours = frozenset(reapProcessHandlers) if self.adopts_orphans else None
        mark = self._mark(job_id)
        ended = await self._in_thread(orphans.kill_tagged, mark, orphans.END_SECONDS, ours)
        if not ended[1]:
            self._current = None
        self._tell(whose, ended)

    def _close(
        self, paths: Iterable[Path], readable: Iterable[Path]
    ) -> Mapping[str, object] | None:
        """Return what load tests are kept from and what of it they may read, or None: nothing."""
        # Who may write to the agent's cgroup may end the agent by it.
        readable = filter(None, [cgroup.current_cgroup(), self._sdk.absolute(), *readable])
        closed = {
            "paths": [str(path.absolute()) for path in paths],
            "readable": list(map(str, readable)),
        }
        refusal = probe(self._containment, self._user, closed)
        if refusal is not None:
            self._log.warn(
                "load tests are kept from the agent's files by their owner alone: {why}",
                why=refusal,
            )
            return None
        return closed

    def _uid(self) -> int:
        """Return whose load tests' processes are."""
        return os.geteuid() if self._user is None else pwd.getpwnam(self._user).pw_uid

    def _adopt_orphans(self) -> bool:
        """Have what leaves its group become a child of the agent, if a child is a load test's then.

        It may not be when the agent is process 1, or was started with children.
        """
        if self.isolation != ProcessGroup.name or os.getpid() == 1 or orphans.has_children():
            return False
        try:
            orphans.adopt_orphans()
        except OSError as error:
            self._log.warn("daemons of load tests are found by their mark alone: {why}", why=error)
            return False
        return True

    def _mark(self, job_id: str = "") -> str:
        return orphans.env_tag(self._state, job_id)

    def _clear(self, way: IsolationBackend, job_id: str, whose: str) -> None:
        try:
            way.clear(job_id)
        except OSError as error:
            self._log.warn(
                "something of {whose} cannot be ended: {error}", whose=whose, error=error
            )

    def _tell(self, whose: str, ended: tuple[int, int]) -> None:
        killed, left = ended
        if killed or left:
            self._log.warn(
                "processes that outlived {whose}: {killed} killed, {left} left",
                whose=whose,
                killed=killed,
                left=left,
            )
