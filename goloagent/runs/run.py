"""One run of one job: turns what happens into the table's events, and performs its effects.

Owns the run's pieces (process, users, recorder) and none of the rules: what follows from what is
for `life`, and the causes are in `jobs.outcome`.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol

import attrs
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from goloagent.jobs import outcome, sentences
from goloagent.jobs.bounds import Bounds
from goloagent.jobs.job import Cause, Exit, Job
from goloagent.jobs.lifecycle import Effect, Event, Phase
from goloagent.loadtest.process import LoadTestProcess, Watcher
from goloagent.loadtest.users import Users
from goloagent.results.recorder import Recorder
from goloagent.runs.life import Life
from goloagent.runs.stage import Refused, Staged
from goloagent.space import is_full
from goloagent.statistics.run import RunStatistics


class Results(Protocol):
    """Where a run's results go next; `job.results` counts them."""

    def begin(self, job: Job) -> None:
        """The job's log is there and empty."""

    def grow(self, job: Job) -> None:
        """The job's log has more in it."""

    def end(self, job: Job) -> None:
        """The job's log is complete."""


# So much is written at most before the space is looked at.
_CHECK_BYTES = 1024 * 1024


@attrs.frozen
class Tools:
    """What a run is given to act with.

    Args:
        prepare: makes what the job needs, or raises `Refused`.
        spawn: starts the staged program under a watcher, or raises OSError.
        connect: connects the users to the RPC address, however long it takes.
        is_strangers: tells whether it is not the process of the job that they are connected to.
        save: keeps the job as it stands now, or raises OSError and does so later.
        too_much: returns a sentence when a run whose log is so long must not go on, or None.
        keep_statistics: keeps what a job's results came to, which nothing is added to any more.
        in_thread: runs a function off the reactor thread.
    """

    clock: IReactorTime
    now: Callable[[], datetime]
    prepare: Callable[[Job], Awaitable[Staged]]
    spawn: Callable[[Staged, Watcher], LoadTestProcess]
    connect: Callable[[Users], Deferred[None]]
    is_strangers: Callable[[Job, LoadTestProcess, Users], Awaitable[bool]]
    save: Callable[[Job], None]
    results: Results
    too_much: Callable[[int], str | None]
    keep_statistics: Callable[[Job, RunStatistics], Deferred[Any]]
    in_thread: Callable[[Callable[[], None]], Deferred[None]]
    bounds: Bounds = attrs.Factory(Bounds)


class Run(Watcher):
    """The run of `job`; `start` begins it."""

    _log = Logger()

    def __init__(self, job: Job, tools: Tools) -> None:
        self.job = job
        self._tools = tools
        self._unchecked_bytes = 0
        self._over: Deferred[None] = Deferred()
        self._preparing: Deferred[None] | None = None
        self._connecting: Deferred[bool] | None = None
        self._staged: Staged | None = None
        self._process: LoadTestProcess | None = None
        self._users = Users(
            job.spec.users,
            job.calls,
            lambda: self._life.happen(Event.RETURNED),
            self._lost_connection,
        )
        effects = {
            Effect.SPAWN: self._spawn,
            Effect.CONNECT: self._connect,
            Effect.DRIVE: self._users.drive,
            Effect.STOP_CALLING: self._users.stop_calling,
            Effect.HANG_UP: self._hang_up,
            Effect.WATCH_STDOUT: self._watch_stdout,
            Effect.TERMINATE: self._terminate,
            Effect.KILL: self._kill,
            Effect.ABANDON: self._abandon,
            Effect.END: self._end,
        }
        self._life = Life(job, tools.clock, tools.bounds, effects, self._save)

    @property
    def statistics(self) -> RunStatistics:
        """What its results come to so far; whoever shows them ends the seconds."""
        return self._staged.statistics if self._staged is not None else RunStatistics()

    def start(self) -> Deferred[None]:
        """Begin; the Deferred fires when the job is over."""
        self.job.started_at = self._tools.now()
        self._life.begin()
        self._preparing = ensureDeferred(self._prepare())
        return self._over

    def cancel(self, cause: Cause) -> None:
        """Bring the job to its ordered end, soon; `cause` stands unless there is one already."""
        self._life.cancel(cause)

    def check_space(self) -> None:
        """End the job while the disk still has room for its end."""
        if self._staged is None or self._life.phase in (Phase.PREPARING, Phase.OVER):
            return
        self._unchecked_bytes = 0
        sentence = self._tools.too_much(self._staged.recorder.written_bytes)
        if sentence is not None:
            self._life.happen(Event.FAULT, Cause("disk-full", sentence))

    # What happens.

    def launched(self) -> None:
        """The program runs."""
        self._life.happen(Event.LAUNCHED)

    def launch_failed(self, sentence: str) -> None:
        """The program could not be executed."""
        self._life.happen(
            Event.FAULT, Cause("exec-failed", f"The load test cannot be executed: {sentence}.")
        )

    def stdout(self, data: bytes) -> None:
        """Write what it printed at once, count it, and tell the next stage."""
        self._record(Recorder.stdout, data)
        self._count()
        self._tools.results.grow(self.job)
        if self._life.phase is Phase.SETTLING:
            self._life.stdout_is_busy()

    def stderr(self, data: bytes) -> None:
        """Write what it complained at once."""
        self._record(Recorder.stderr, data)

    def exited(self, code: int | None, signal_number: int | None) -> None:
        """The process has ended."""
        if self._life.phase is not Phase.OVER:
            self.job.exit = Exit(code, _signal_name(signal_number))
        self._life.happen(Event.EXITED)

    def closed(self) -> None:
        """The process has ended and its output is read."""
        self._life.happen(Event.CLOSED)

    def _lost_connection(self, sentence: str | None) -> None:
        cause = Cause("rpc-protocol", f"The load test does not speak net/rpc: {sentence}.")
        self._life.happen(Event.LOST, None if sentence is None else cause)

    # What is done.

    async def _prepare(self) -> None:
        try:
            self._staged = await self._tools.prepare(self.job)
            self.job.logged = True
            self.job.log_identity = self._staged.log.identity()
            self._tools.results.begin(self.job)
            # What the store does not know to have started would be started again after a restart.
            self._tools.save(self.job)
        except Refused as refusal:
            self._life.happen(Event.REFUSED, refusal.cause)
        except (CancelledError, ConnectingCancelledError):
            return
        except OSError as error:
            reason = "disk-full" if is_full(error) else "prepare-failed"
            self._life.happen(Event.REFUSED, Cause(reason, f"The job cannot be prepared: {error}."))
        except Exception as error:
            self._log.failure("preparing job {id} broke", id=self.job.id)
            self._life.happen(
                Event.REFUSED, Cause("internal-error", f"The job cannot be prepared: {error!r}.")
            )
        else:
            self._life.happen(Event.PREPARED)

    def _abandon(self) -> None:
        assert self._preparing is not None
        self._preparing.cancel()

    def _spawn(self) -> None:
        assert self._staged is not None
        try:
            self._process = self._tools.spawn(self._staged, self)
        except OSError as error:
            self._life.happen(
                Event.REFUSED, Cause("spawn-failed", f"No process can be made: {error}.")
            )

    def _watch_stdout(self) -> None:
        self._life.stdout_is_busy()

    def _connect(self) -> None:
        self._connecting = ensureDeferred(self._connect_to_load_test())
        self._connecting.addCallback(self._connected)
        self._connecting.addErrback(self._not_connected)

    async def _connect_to_load_test(self) -> bool:
        """Connect, and tell whether that was to a stranger."""
        assert self._process is not None
        await self._tools.connect(self._users)
        return await self._tools.is_strangers(self.job, self._process, self._users)

    def _connected(self, to_stranger: bool) -> None:
        if to_stranger:
            sentence = "Another program took the RPC address before the load test did."
            self._life.happen(Event.FAULT, Cause("rpc-port-busy", sentence))
        else:
            self._life.happen(Event.CONNECTED)

    def _not_connected(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            sentence = f"The load test cannot be connected to: {failure.getErrorMessage()}."
            self._life.happen(Event.FAULT, Cause("connect-failed", sentence))

    def _terminate(self) -> None:
        assert self._process is not None
        self._process.terminate()

    def _kill(self) -> None:
        assert self._process is not None
        self._process.kill()

    def _hang_up(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        self._users.hang_up()

    def _record(self, stream: Callable[[Recorder, bytes], None], data: bytes) -> None:
        assert self._staged is not None
        try:
            stream(self._staged.recorder, data)
        except OSError as error:
            reason = "disk-full" if is_full(error) else "log-failed"
            self._life.happen(Event.FAULT, Cause(reason, f"The log cannot be written: {error}."))
        self._unchecked_bytes += len(data)
        if self._unchecked_bytes >= _CHECK_BYTES:
            self.check_space()

    def _count(self) -> None:
        assert self._staged is not None
        tally = self._staged.recorder.tally
        self.job.results.read, self.job.results.invalid = tally.read, tally.invalid
        self.job.flawless = tally.flawless

    def _end(self) -> None:
        """Settle the account and tell it; what breaks here must not hold the queue up."""
        try:
            self._settle()
        except Exception:
            self._over.errback()
        else:
            self._over.callback(None)

    def _settle(self) -> None:
        """Let go of everything, and settle the account."""
        job = self.job
        if self._process is not None:
            self._process.abandon_output()
        if self._staged is not None:
            job.stderr_tail = self._read_stderr(self._staged)
            self._staged.recorder.close()
            self._count()
            self._clear(self._staged)
            self._keep_statistics(self._staged)
            if self._staged.recorder.lost_bytes:
                self._log.warn(
                    "job {id} lost {count} bytes of stdout that could not be written",
                    id=job.id,
                    count=self._staged.recorder.lost_bytes,
                )
        job.state, job.cause = outcome.verdict(self._life.cause, job.calls, self._users.last_error)
        job.ended_at = self._tools.now()
        self._save()
        self._log.info("{sentence}", sentence=sentences.ended(job))
        if self._staged is not None:
            self._tools.results.end(job)

    def _read_stderr(self, staged: Staged) -> str:
        try:
            return staged.log.stderr_tail()
        except OSError as error:
            self._log.warn("stderr of job {id}: {error}", id=self.job.id, error=error)
            return ""

    def _clear(self, staged: Staged) -> None:
        """Remove what the load test has left: it may be very much."""
        clearing = self._tools.in_thread(staged.clear)
        clearing.addErrback(
            lambda failure: self._log.warn(
                "something that job {id} has left cannot be removed: {error}",
                id=self.job.id,
                error=failure.getErrorMessage(),
            )
        )

    def _keep_statistics(self, staged: Staged) -> None:
        """Keep what the results came to; what cannot be kept can be made again from the log."""
        staged.statistics.settle()
        keeping = self._tools.keep_statistics(self.job, staged.statistics)
        keeping.addErrback(
            lambda failure: self._log.warn(
                "the statistics of job {id} are not kept: {error}",
                id=self.job.id,
                error=failure.getErrorMessage(),
            )
        )

    def _save(self) -> None:
        """Keep the job as it stands; without a store that works it still comes to its end."""
        try:
            self._tools.save(self.job)
        except OSError as error:
            self._log.warn("job {id} is not saved yet: {error}", id=self.job.id, error=error)
        except Exception:
            self._log.failure("job {id} cannot be saved", id=self.job.id)


def _signal_name(number: int | None) -> str | None:
    """Return a signal's name; most real-time signals have only a number."""
    if number is None:
        return None
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
