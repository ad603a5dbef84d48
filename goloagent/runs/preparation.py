"""Prepares a run: checks the host, copies the program, creates its directory and its log."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import attrs
from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred

from goloagent.artifacts.files import MODE, Select
from goloagent.artifacts.line_share import LineShare
from goloagent.artifacts.store import ArtifactStore, BinaryChanged
from goloagent.core.host_fault import DISK_FULL, HostFault, status_of
from goloagent.core.load_test_input import PROGRAM, InputFile
from goloagent.core.profile.load_profile import Share
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.core.thresholds import selectors
from goloagent.filesystem.removal import remove
from goloagent.jobs.database import Binary
from goloagent.jobs.job import FailureReason, Job
from goloagent.runs import outcome
from goloagent.wal.result_writer import ResultWriter
from goloagent.wal.run_directory import LogPathError, discard_run
from goloagent.wal.run_log import RunLogWriter

INPUT_MODE = 0o600


class PreparationError(Exception):
    """The job cannot be started, or not at present if `cause.requeue`."""

    def __init__(self, cause: FailureReason) -> None:
        super().__init__(cause.message)
        self.cause = cause


@attrs.frozen
class PreparedRun:
    """The executable of a run, its directory and its log, which the run owns.

    Args:
        discard_log: removes the log, which is empty.
        stopped: ends `cleanup`; the next start removes the rest.
    """

    program: Path
    directory: Path
    log: RunLogWriter
    discard_log: Callable[[], None]
    stopped: Callable[[], bool] = lambda: False
    statistics: RunStatistics = attrs.field(factory=RunStatistics)
    writer: ResultWriter = attrs.field(init=False)

    @writer.default
    def _make_writer(self) -> ResultWriter:
        return ResultWriter(self.log, self.statistics.add)

    def cleanup(self) -> None:
        """Remove the directory with everything in it. Blocks: call it in a worker thread.

        Raises:
            OSError: something cannot be removed; everything else is.
        """
        remove(self.directory, self.stopped)


@attrs.frozen
class _Copy:
    """A copy to make, of a binary or of what `select` returns of its blocks."""

    binary: Binary
    target: Path
    mode: int = MODE
    select: Select | None = None


@attrs.define
class RunPreparer:
    """Prepares runs below `work` with logs below `logs`.

    Args:
        user: the user of load tests; None for the agent's own user.
        fault: returns the fault of the host that prevents any run at present, or None.
        in_thread: runs a function in a worker thread.
        track: syncs the log of a run from now on; waits until its existence is durable.
        notice: reports a sentence to the operator.
        stopped: returns whether the agent stops, so that removals must end.
        room: returns how many bytes may be written below `work`. Raises OSError.
    """

    work: Path
    logs: Path
    artifacts: ArtifactStore
    user: str | None
    fault: Callable[[], Awaitable[HostFault | None]]
    in_thread: Callable[..., Deferred[None]]
    track: Callable[[Job, RunLogWriter], Awaitable[None]]
    notice: Callable[[str], None] = lambda sentence: None
    stopped: Callable[[], bool] = lambda: False
    room: Callable[[], int] = lambda: sys.maxsize
    # Held by the copy of an earlier attempt, which may go on in its thread.
    _copying: DeferredLock = attrs.field(factory=DeferredLock, init=False)

    async def prepare(self, job: Job) -> PreparedRun:
        """Create everything that `job` needs.

        Raises:
            PreparationError: something is missing; no file is left behind.
        """
        fault = await self.fault()
        if fault is not None:
            raise PreparationError(outcome.from_host(fault))
        directory = self.work / job.id
        log: RunLogWriter | None = None
        discard_log = partial(discard_run, self.logs, job.spec.name, job.id)
        try:
            program = await self._program(job, directory)
            log = RunLogWriter.create(self.logs, job.spec.name, job.id)
            await self.track(job, log)
        except BaseException as error:
            with suppress(OSError):  # the next start removes it
                remove(directory)
            if log is not None:
                log.close()
            discard_log()
            cause = _cause(error)
            if cause is None:
                raise
            raise PreparationError(cause) from error
        log.shrunk = partial(self._report_shrunk, job.id, log)
        statistics = RunStatistics(selectors(job.spec.thresholds))
        return PreparedRun(program, directory, log, discard_log, self.stopped, statistics)

    def _report_shrunk(self, job_id: str, log: RunLogWriter, left: int) -> None:
        log.shrunk = lambda _: None  # one notice for each run
        self.notice(
            f"out.log of job {job_id} was cut to {left} bytes by another program while the agent"
            " wrote it; the rest is lost"
        )

    async def _program(self, job: Job, directory: Path) -> Path:
        binary = self._binary(job.spec.binary)
        self._make(directory)
        program = directory / PROGRAM
        files = [
            self._input(file, directory, job.spec.profile.share) for file in job.spec.given.files
        ]
        await self._copy([_Copy(binary, program), *files])
        if self.user is not None:
            entry = pwd.getpwnam(self.user)
            for path in (*(file.target for file in files), directory):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        return program

    def _binary(self, binary_id: str) -> Binary:
        binary = self.artifacts.store.binary(binary_id)
        if binary is None:
            raise BinaryChanged(f"binary {binary_id} is gone since its upload")
        return binary

    def _input(self, file: InputFile, directory: Path, share: Share) -> _Copy:
        lines = LineShare(share.index, share.of, file.header).select if file.split else None
        return _Copy(self._binary(file.binary), directory / file.name, INPUT_MODE, lines)

    def _make(self, directory: Path) -> None:
        """Create an empty directory in place of the one that an earlier attempt has left."""
        if not self.work.is_dir():
            self.work.mkdir(parents=True)
            self.work.chmod(0o711)
        remove(directory)
        directory.mkdir(mode=0o700)

    async def _copy(self, copies: Sequence[_Copy]) -> None:
        """Copy binaries in a thread, after the copies of an earlier attempt.

        A cancel cannot end the thread, so on a disk that hangs there is one thread at most.
        """
        await self._copying.acquire()
        copied: Deferred[None] = Deferred(lambda _: None)

        def ended(result: object) -> None:
            self._copying.release()
            if not copied.called:
                copied.callback(result)  # type: ignore[arg-type]

        maybeDeferred(self.in_thread, self._copy_each, copies).addBoth(ended)
        await copied

    def _copy_each(self, copies: Sequence[_Copy]) -> None:
        needed = sum(copy.binary.size for copy in copies)
        if len(copies) > 1 and self.room() < needed:
            sentence = f"The program and the files of the job need {needed} bytes of free space."
            raise PreparationError(outcome.from_host(HostFault(DISK_FULL, sentence)))
        for copy in copies:
            self.artifacts.copy_verified(copy.binary, copy.target, copy.mode, copy.select)


def _cause(error: BaseException) -> FailureReason | None:
    """Return the cause that an error is for the job; None for a defect or a cancellation."""
    if isinstance(error, BinaryChanged):
        return FailureReason("binary-changed", f"The {error}.")
    if isinstance(error, LogPathError):
        return FailureReason("log-path", f"The log cannot be made: {error}.")
    if isinstance(error, OSError) or status_of(error) is not None:
        assert isinstance(error, Exception)
        return outcome.from_error(error, "prepare-failed", "The job cannot be prepared")
    return None
