"""One run of one job: turns what happens into the table's events, and performs its effects.

Owns the run's pieces (process, users, recorder) and none of the rules: what follows from what is
for `life`, and the causes are in `jobs.outcome`.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import attrs
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, maybeDeferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from goloagent.concurrency.cooperation import take_turn
from goloagent.core.host_fault import DISK_FULL, HostFault, status_of
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.filesystem.disk_space import Excess, is_full
from goloagent.jobs.job import Exit, FailureReason, InvalidLine, Job, State
from goloagent.load.rpc_client import RpcClient
from goloagent.runs import messages, outcome
from goloagent.runs.preparation import PreparationError, PreparedRun
from goloagent.runs.state_machine import RunStateMachine
from goloagent.runs.timeouts import Timeouts
from goloagent.runs.transitions import Action, Event, Phase
from goloagent.sandbox.peer_check import Endpoint
from goloagent.sandbox.process import LoadTestProcess, Watcher
from goloagent.wal.result_writer import ResultWriter


class DeliveryQueue(Protocol):
    """Where a run's results go next; `job.results` counts them."""

    def begin(self, job: Job) -> None:
        """The job's log is there and empty."""

    def on_appended(self, job: Job) -> None:
        """The job's log has more in it."""

    def end(self, job: Job) -> None:
        """The job's log is complete."""


# So much is written at most before the space is looked at.
_CHECK_BYTES = 1024 * 1024
# A disk that is short of space for a shorter time ends no run.
_SHORT_SECONDS = 2.0
# How long after the machine did not allow a look at the RPC peer it is tried again.
_LOOK_AGAIN_SECONDS = 0.5


@attrs.frozen
class RunDependencies:
    """What a run is given to act with.

    Args:
        prepare: makes what the job needs, or raises `PreparationError`.
        spawn: starts the program at a path under a watcher, or raises OSError.
        connect: connects the users to the RPC address, however long it takes.
        is_foreign_listener: whether another process than the job's is at the far end.
        save: keeps the job as it stands now, or raises OSError and does so later.
        commit: keeps the job as it stands now, through a power cut, or raises OSError.
        check_space: returns why a run whose log is so long must not go on, or None.
        keep_statistics: keeps what a job's results came to, which nothing is added to any more.
        in_thread: runs a function off the reactor thread.
    """

    clock: IReactorTime
    now: Callable[[], datetime]
    prepare: Callable[[Job], Awaitable[PreparedRun]]
    spawn: Callable[[Path, Watcher], LoadTestProcess]
    connect: Callable[[RpcClient], Deferred[None]]
    is_foreign_listener: Callable[[str, int, tuple[Endpoint, Endpoint]], Awaitable[bool]]
    save: Callable[[Job], None]
    commit: Callable[[Job], Awaitable[None]]
    delivery: DeliveryQueue
    check_space: Callable[[int], Excess | None]
    keep_statistics: Callable[[Job, RunStatistics], Deferred[Any]]
    in_thread: Callable[[Callable[[], None]], Deferred[None]]
    timeouts: Timeouts = attrs.Factory(Timeouts)


class Run(Watcher):
    """The run of `job`; `start` begins it."""

    _log = Logger()

    def __init__(self, job: Job, tools: RunDependencies) -> None:
        self.job = job
        self._deps = tools
        self._unchecked_bytes = 0
        self._short_since: float | None = None
        self._started_at = tools.now()
        self._launched = False
        self._results_begun = False
        self._ended = False
        self._next_turn: IDelayedCall | None = None
        self._over: Deferred[None] = Deferred()
        self._preparing: Deferred[None] | None = None
        self._connecting: Deferred[bool] | None = None
        self._prepared: PreparedRun | None = None
        self._process: LoadTestProcess | None = None
        self._rpc = RpcClient(
            job.spec.users,
            job.calls,
            lambda: self._machine.handle(Event.CALLS_DRAINED),
            self._lost_connection,
        )
        effects = {
            Action.SPAWN: self._spawn,
            Action.CONNECT: self._connect,
            Action.DRIVE: self._rpc.start,
            Action.STOP_CALLING: self._rpc.stop,
            Action.HANG_UP: self._hang_up,
            Action.WATCH_STDOUT: self._watch_stdout,
            Action.TERMINATE: self._terminate,
            Action.KILL: self._kill,
            Action.ABANDON: self._abandon,
            Action.END: self._end,
        }
        self._machine = RunStateMachine(
            job, tools.clock, tools.timeouts, effects, self._save, self._broken
        )

    @property
    def statistics(self) -> RunStatistics:
        """What its results come to so far; whoever shows them ends the seconds."""
        return self._prepared.statistics if self._prepared is not None else RunStatistics()

    @property
    def has_launched(self) -> bool:
        """Whether the load test was executed: the machine has allowed all that it needs."""
        return self._launched

    @property
    def is_over(self) -> bool:
        """Whether nothing happens to it any more, a cancel included."""
        return self._machine.phase is Phase.OVER

    @property
    def fault(self) -> HostFault | None:
        """Why the job went back to the queue, or None: it did not, or only the agent stopped."""
        cause = self._machine.cause
        if cause is None or not self._requeued or cause.reason == outcome.AGENT_STOPPED.reason:
            return None
        return HostFault(cause.reason, cause.message)

    @property
    def _requeued(self) -> bool:
        return self._machine.cause is not None and self._machine.cause.requeue

    def start(self) -> Deferred[None]:
        """Begin; the Deferred fires when the job is over, or is back in the queue."""
        self._started_at = self._deps.now()
        self._machine.begin()
        self._preparing = ensureDeferred(self._prepare())
        return self._over

    def cancel(self, cause: FailureReason) -> None:
        """Bring the job to its ordered end, soon; `cause` stands unless there is one already."""
        self._machine.cancel(cause)

    def check_space(self) -> None:
        """End the job while the disk still has room for its end.

        One that is short of space only for a moment does not end it.
        """
        if self._prepared is None or self._machine.phase in (Phase.PREPARING, Phase.OVER):
            return
        self._unchecked_bytes = 0
        try:
            excess = self._deps.check_space(self._prepared.writer.written_bytes)
        except Exception:
            self._log.failure("the space for job {id} cannot be looked at", id=self.job.id)
            return
        if excess is None:
            self._short_since = None
            return
        seconds = self._deps.clock.seconds()
        if self._short_since is None:
            self._short_since = seconds
        if excess.urgent or seconds - self._short_since >= _SHORT_SECONDS:
            self._machine.handle(Event.FAILED, FailureReason(DISK_FULL, excess.sentence))

    # What happens.

    def launched(self) -> None:
        """The program runs."""
        if self._machine.phase is Phase.OVER:
            return
        self._launched = True
        self._begin_delivery()
        self._machine.handle(Event.LAUNCHED)

    def launch_failed(self, sentence: str, host_status: str | None = None) -> None:
        """The program could not be executed; with a status, as the machine did not allow it."""
        sentence = f"The load test cannot be executed: {sentence}."
        if host_status is None:
            cause = FailureReason("exec-failed", sentence)
        else:
            cause = outcome.from_host(HostFault(host_status, sentence))
        self._machine.handle(Event.FAILED, cause)

    def stdout(self, data: bytes) -> None:
        """Write what it printed at once, count it, and tell the next stage."""
        if self._ended:
            return
        self._record(ResultWriter.stdout, data)
        self._count_in_turns()

    def stderr(self, data: bytes) -> None:
        """Write what it complained at once."""
        if self._machine.phase is Phase.OVER:
            return
        self._record(ResultWriter.stderr, data)

    def exited(self, code: int | None, signal_number: int | None) -> None:
        """The process has ended."""
        if self._machine.phase is not Phase.OVER:
            self.job.exit = Exit(code, _signal_name(signal_number))
        self._machine.handle(Event.EXITED)

    def closed(self) -> None:
        """The process has ended and its output is read."""
        self._machine.handle(Event.CLOSED)

    def _lost_connection(self, sentence: str | None) -> None:
        cause = FailureReason("rpc-protocol", f"The load test does not speak net/rpc: {sentence}.")
        self._machine.handle(Event.CONNECTION_LOST, None if sentence is None else cause)

    # What is done.

    async def _prepare(self) -> None:
        try:
            self._prepared = await self._deps.prepare(self.job)
            self.job.has_log = True
            self.job.log_version = self._prepared.log.version
            await self._save_as_started()
        except PreparationError as refusal:
            self._machine.handle(Event.PREPARATION_FAILED, refusal.cause)
        except (CancelledError, ConnectingCancelledError):
            return
        except Exception as error:
            cause = _cause(error, "prepare-failed", "The job cannot be prepared")
            if cause.reason == "internal-error":
                self._log.failure("preparing job {id} broke", id=self.job.id)
            self._machine.handle(Event.PREPARATION_FAILED, cause)
        else:
            self._machine.handle(Event.PREPARED)

    async def _save_as_started(self) -> None:
        """Have the store know that the job has started, or it would be run again after a restart.

        Raises:
            OSError: it does not; then the job has not started.
        """
        job = self.job
        job.state, job.started_at = State.STARTING, self._started_at
        try:
            await self._deps.commit(job)
        except BaseException:
            job.state, job.started_at = State.QUEUED, None
            raise

    def _begin_delivery(self) -> None:
        """Have delivery follow the log; without delivery the run goes on, and its log stays."""
        if self._results_begun:
            return
        self._results_begun = True
        try:
            self._deps.delivery.begin(self.job)
        except Exception:
            self._log.failure("the results of job {id} cannot be delivered", id=self.job.id)

    def _notify_delivery(self) -> None:
        self._begin_delivery()
        try:
            self._deps.delivery.on_appended(self.job)
        except Exception:
            self._log.failure("the results of job {id} cannot be delivered", id=self.job.id)

    def _broken(self, effect: Action, error: Exception) -> None:
        """Go on after an effect that raised: to the end, if the run cannot come further."""
        if effect is Action.SPAWN:
            cause = _cause(error, "spawn-failed", "No process can be made")
            if cause.reason == "internal-error":
                self._log.failure("spawning the load test of job {id} broke", id=self.job.id)
            self._machine.handle(Event.PREPARATION_FAILED, cause)
            return
        self._log.failure("job {id}: to {effect} broke", id=self.job.id, effect=effect.value)
        if effect in (Action.CONNECT, Action.DRIVE):
            sentence = f"The load test cannot be driven: {error!r}."
            self._machine.handle(Event.FAILED, FailureReason("internal-error", sentence))

    def _abandon(self) -> None:
        assert self._preparing is not None
        self._preparing.cancel()

    def _spawn(self) -> None:
        assert self._prepared is not None
        self._process = self._deps.spawn(self._prepared.program, self)

    def _watch_stdout(self) -> None:
        self._machine.restart_quiet_timer()

    def _connect(self) -> None:
        self._connecting = ensureDeferred(self._connect_to_load_test())
        self._connecting.addCallback(self._connected)
        self._connecting.addErrback(self._not_connected)

    async def _connect_to_load_test(self) -> bool:
        """Connect, and tell whether that was to a stranger."""
        assert self._process is not None
        await self._deps.connect(self._rpc)
        while True:
            try:
                return await self._deps.is_foreign_listener(
                    self.job.id, self._process.pid, self._rpc.ends
                )
            except Exception as error:
                if status_of(error) is None:
                    raise
                self._log.warn(
                    "job {id}: the RPC peer cannot be looked up yet: {error}",
                    id=self.job.id,
                    error=error,
                )
            await deferLater(self._deps.clock, _LOOK_AGAIN_SECONDS)

    def _connected(self, to_stranger: bool) -> None:
        if to_stranger:
            sentence = "Another program took the RPC address before the load test did."
            self._machine.handle(Event.FAILED, FailureReason("rpc-port-busy", sentence))
        else:
            self._machine.handle(Event.CONNECTED)

    def _not_connected(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            sentence = f"The load test cannot be connected to: {failure.getErrorMessage()}."
            self._machine.handle(Event.FAILED, FailureReason("connect-failed", sentence))

    def _terminate(self) -> None:
        assert self._process is not None
        self._process.terminate()

    def _kill(self) -> None:
        assert self._process is not None
        self._process.kill()

    def _hang_up(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        self._rpc.hang_up()

    def _record(self, stream: Callable[[ResultWriter, bytes], None], data: bytes) -> None:
        assert self._prepared is not None
        try:
            stream(self._prepared.writer, data)
        except OSError as error:
            reason = DISK_FULL if is_full(error) else "log-failed"
            self._machine.handle(
                Event.FAILED, FailureReason(reason, f"The log cannot be written: {error}.")
            )
        except Exception as error:
            self._log.failure("recording the output of job {id} broke", id=self.job.id)
            sentence = f"The output cannot be recorded: {error!r}."
            self._machine.handle(Event.FAILED, FailureReason("internal-error", sentence))
        self._unchecked_bytes += len(data)
        if self._unchecked_bytes >= _CHECK_BYTES:
            self.check_space()

    def _count_in_turns(self) -> None:
        """Count what was printed; what takes longer than a turn has no more be read meanwhile."""
        if self._next_turn is not None and self._next_turn.active():
            return
        all_counted = self._take_turn()
        if self._machine.phase is Phase.OVER:
            return
        self._notify_delivery()
        if self._machine.phase is Phase.WAITING_FOR_OUTPUT:
            self._machine.restart_quiet_timer()
        if self._process is not None and all_counted and self._next_turn is not None:
            self._process.resume_stdout()
        elif self._process is not None and not all_counted:
            self._process.pause_stdout()
        self._next_turn = None
        if not all_counted:
            self._next_turn = self._deps.clock.callLater(0.0, self._count_in_turns)

    def _take_turn(self) -> bool:
        """Count for as long as a turn lasts; return whether all is counted."""
        assert self._prepared is not None
        try:
            return take_turn(self._deps.clock, self._prepared.writer.count())
        except Exception as error:
            self._log.failure("counting the results of job {id} broke", id=self.job.id)
            sentence = f"The results cannot be counted: {error!r}."
            self._machine.handle(Event.FAILED, FailureReason("internal-error", sentence))
            return False
        finally:
            self._count()

    def _count(self) -> None:
        assert self._prepared is not None
        tally, log = self._prepared.writer.tally, self._prepared.log
        self.job.results.read, self.job.results.invalid = tally.read, tally.invalid
        known = tally.verified_range
        self.job.flawless = range(max(known.start, log.intact_from), known.stop)
        self.job.log_version = log.version
        if self.job.invalid_line is None and (flaw := tally.first_invalid) is not None:
            self.job.invalid_line = InvalidLine(flaw.number, flaw.reason, flaw.text)

    def _end(self) -> None:
        """Let go of the process, and settle the account once all that it printed is counted."""
        if self._next_turn is not None and self._next_turn.active():
            self._next_turn.cancel()
        if self._process is not None:
            self._try(self._process.read_rest)
            self._try(self._process.abandon_output)
        self._ended = True
        if self._prepared is not None:
            self._prepared.writer.end()
        self._end_counting()

    def _end_counting(self) -> None:
        if self._prepared is not None and not self._take_turn():
            self._deps.clock.callLater(0.0, self._end_counting)
        else:
            self._finalize()

    def _finalize(self) -> None:
        """Settle the account, step by step: one that breaks keeps the job from nothing else."""
        steps = [self._decide, self._save, self._announce]
        if self._prepared is not None:
            closing = (self._keep_stderr, self._close_log, self._count, self._cleanup)
            steps = [*closing, self._keep_statistics, *steps]
        if self._results_begun:
            steps = [*steps, lambda: self._deps.delivery.end(self.job)]
        for step in steps:
            self._try(step)
        self._over.callback(None)

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:
            self._log.failure("the end of job {id} broke", id=self.job.id)

    def _keep_stderr(self) -> None:
        assert self._prepared is not None
        self.job.stderr_tail = self._read_stderr(self._prepared)

    def _close_log(self) -> None:
        assert self._prepared is not None
        recorder = self._prepared.writer
        recorder.close()
        if recorder.lost_bytes:
            self._log.warn(
                "job {id} lost {count} bytes of stdout that could not be written",
                id=self.job.id,
                count=recorder.lost_bytes,
            )

    def _decide(self) -> None:
        """Say how the job ended, or that it has not begun."""
        job = self.job
        job.state, job.cause = outcome.final_state(
            self._machine.cause, job.calls, self._rpc.last_error
        )
        if job.state is State.QUEUED:
            job.started_at, job.exit, job.stderr_tail = None, None, ""
            if self._prepared is not None:
                # By a log the next start of the agent would take it for a job that has run.
                self._prepared.discard_log()
                job.has_log, job.log_version = False, None
        else:
            job.started_at, job.ended_at = self._started_at, self._deps.now()
            is_cut = self._prepared is not None and self._prepared.writer.tally.is_cut
            job.warnings = tuple(outcome.warnings(job, is_cut))

    def _announce(self) -> None:
        job = self.job
        if job.state is State.QUEUED:
            why = self._machine.cause.message if self._machine.cause is not None else ""
            self._log.info("job {id} stays in the queue: {why}", id=job.id, why=why)
        else:
            self._log.info("{sentence}", sentence=messages.ended(job))
        for warning in job.warnings:
            self._log.warn("job {id}: {warning}", id=job.id, warning=warning)

    def _read_stderr(self, staged: PreparedRun) -> str:
        try:
            return staged.log.stderr_tail()
        except OSError as error:
            self._log.warn("stderr of job {id}: {error}", id=self.job.id, error=error)
            return ""

    def _cleanup(self) -> None:
        """Remove what the load test has left: it may be very much."""
        assert self._prepared is not None
        clearing = maybeDeferred(self._deps.in_thread, self._prepared.cleanup)
        clearing.addErrback(
            lambda failure: self._log.warn(
                "something that job {id} has left cannot be removed: {error}",
                id=self.job.id,
                error=failure.getErrorMessage(),
            )
        )

    def _keep_statistics(self) -> None:
        """Keep what the results came to; what cannot be kept can be made again from the log."""
        assert self._prepared is not None
        if self._requeued:
            return
        statistics = self._prepared.statistics
        statistics.flush()
        keeping = maybeDeferred(self._deps.keep_statistics, self.job, statistics)
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
            self._deps.save(self.job)
        except OSError as error:
            self._log.warn("job {id} is not saved yet: {error}", id=self.job.id, error=error)
        except Exception:
            self._log.failure("job {id} cannot be saved", id=self.job.id)


def _cause(error: Exception, reason: str, what: str) -> FailureReason:
    """Return why a run cannot begin: the machine, `reason`, or a bug."""
    status = status_of(error)
    if status is not None:
        return outcome.from_host(HostFault(status, f"{what}: {error}."))
    if isinstance(error, OSError):
        return FailureReason(reason, f"{what}: {error}.")
    return FailureReason("internal-error", f"{what}: {error!r}.")


def _signal_name(number: int | None) -> str | None:
    """Return a signal's name; most real-time signals have only a number."""
    if number is None:
        return None
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
