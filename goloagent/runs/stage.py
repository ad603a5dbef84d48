"""What must be there before a load test runs: checked bytes, a directory, a log, a free port.

Each thing that is missing refuses the job with a cause of its own.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import attrs
from twisted.internet.defer import Deferred

from goloagent.jobs.binaries import Binaries, BinaryChanged
from goloagent.jobs.job import Cause, Job
from goloagent.removal import remove
from goloagent.results.recorder import Recorder
from goloagent.results.runlog import LogPathError, RunLog
from goloagent.space import is_full
from goloagent.statistics.run import RunStatistics


class Refused(Exception):
    """The job cannot be started; `cause` says why."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.sentence)
        self.cause = cause


@attrs.frozen
class Staged:
    """A run's things, now its own: the executable, the directory it runs in, and its log.

    Once `stopped` returns True, what `clear` has not removed yet is left to the next start.
    """

    program: Path
    directory: Path
    log: RunLog
    stopped: Callable[[], bool] = lambda: False
    statistics: RunStatistics = attrs.field(init=False, factory=RunStatistics)
    recorder: Recorder = attrs.field(init=False)

    @recorder.default
    def _make_recorder(self) -> Recorder:
        return Recorder(self.log, self.statistics.add)

    def clear(self) -> None:
        """Remove the directory and whatever the load test left in it.

        Takes its time: call it off the reactor thread.

        Raises:
            OSError: something cannot be removed; everything else is.
        """
        remove(self.directory, self.stopped)


@attrs.frozen
class Stage:
    """Prepares runs below `work` with logs below `logs`.

    Args:
        user: who load tests run as; None for the agent's own user.
        rpc_is_free: tells whether nobody listens on the RPC address.
        in_thread: runs a function off the reactor thread.
        shortage: returns a sentence when the disk has no room for a run, or None.
        stopped: tells whether the agent stops, so that removals must end.
    """

    work: Path
    logs: Path
    binaries: Binaries
    user: str | None
    rpc_address: str
    rpc_is_free: Callable[[], Awaitable[bool]]
    in_thread: Callable[..., Deferred[None]]
    shortage: Callable[[], str | None] = lambda: None
    stopped: Callable[[], bool] = lambda: False

    async def prepare(self, job: Job) -> Staged:
        """Make everything `job` needs.

        Raises:
            Refused: something is missing; nothing is left behind but a log, when it came that far.
        """
        directory = self.work / job.id
        try:
            sentence = self.shortage()
            if sentence is not None:
                raise Refused(Cause("disk-full", sentence))
            await self._check_rpc()
            program = await self._program(job, directory)
            log = RunLog.create(self.logs, job.spec.name, job.id)
        except BaseException as error:
            with suppress(OSError):  # the next start removes it
                remove(directory)
            cause = _cause(error)
            if cause is None:
                raise
            raise Refused(cause) from error
        return Staged(program, directory, log, self.stopped)

    async def _check_rpc(self) -> None:
        if not await self.rpc_is_free():
            raise Refused(
                Cause(
                    "rpc-port-busy",
                    f"Another program listens on the RPC address {self.rpc_address}.",
                )
            )

    async def _program(self, job: Job, directory: Path) -> Path:
        binary = self.binaries.store.binary(job.spec.binary)
        if binary is None:
            raise BinaryChanged(f"binary {job.spec.binary} is gone since its upload")
        directory.mkdir(mode=0o700)
        program = directory / "loadtest"
        await self.in_thread(self.binaries.stage, binary, program)
        if self.user is not None:
            entry = pwd.getpwnam(self.user)
            os.chown(directory, entry.pw_uid, entry.pw_gid)
        return program


def _cause(error: BaseException) -> Cause | None:
    match error:
        case BinaryChanged():
            return Cause("binary-changed", f"The {error}.")
        case LogPathError():
            return Cause("log-path", f"The log cannot be made: {error}.")
        case OSError() if is_full(error):
            return Cause("disk-full", f"The job cannot be prepared: {error}.")
        case OSError():
            return Cause("prepare-failed", f"The job cannot be prepared: {error}.")
    return None
