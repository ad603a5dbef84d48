"""One run of one job: performs the actions of its state machine, and ends the job."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, succeed
from twisted.internet.error import ConnectingCancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure

from goloagent.core.host_fault import HostFault
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.jobs.job import FailureReason, Job, State
from goloagent.load.json_client import JsonClient
from goloagent.load.rpc_client import RpcClient
from goloagent.runs import connection, outcome
from goloagent.runs.dependencies import RunDependencies
from goloagent.runs.ending import RunEnding
from goloagent.runs.invocation import invocation
from goloagent.runs.preparation import PreparationError
from goloagent.runs.process_events import ProcessEvents
from goloagent.runs.recorder import OutputRecorder
from goloagent.runs.run_load import RunLoad
from goloagent.runs.state_machine import RunStateMachine
from goloagent.runs.steering import Change, ChangeRequest
from goloagent.runs.transitions import Action, Event, Phase
from goloagent.sandbox.process import LoadTestProcess


class Run:
    """The run of `job`; `start` begins it.

    An action is in `_actions` from the phase on in which everything that it needs exists.
    """

    _log = Logger()

    def __init__(self, job: Job, deps: RunDependencies) -> None:
        self.job = job
        self._deps = deps
        self._started_at = deps.now()
        self._over: Deferred[None] = Deferred()
        self._preparing: Deferred[None] = succeed(None)
        self._connecting: Deferred[None] = succeed(None)
        self._recorder: OutputRecorder | None = None
        self._rpc = RpcClient(
            self._connection_lost, JsonClient() if job.spec.drive == "jsonrpc" else None
        )
        self._load = RunLoad(
            job,
            deps,
            self._rpc,
            lambda: self.statistics,
            lambda: self._machine.handle(Event.CALLS_DRAINED),
            self._threshold_crossed,
        )
        self._actions: dict[Action, Callable[[], None]] = {
            Action.ABANDON: lambda: self._preparing.cancel(),
            Action.DRIVE: self._drive,
            Action.STOP_CALLING: self._load.driver.stop,
            Action.HANG_UP: self._hang_up,
            Action.END: self._end,
        }
        profile, timeouts = job.spec.profile, deps.timeouts
        if profile.graceful_stop is not None:
            timeouts = attrs.evolve(timeouts, drain_seconds=profile.graceful_stop)
        self._machine = RunStateMachine(
            job, deps.clock, timeouts, self._actions, self._save, self._action_failed
        )
        self._machine.set_load_seconds(profile.seconds)

    @property
    def statistics(self) -> RunStatistics:
        """The statistics of the results so far."""
        return RunStatistics() if self._recorder is None else self._recorder.prepared.statistics

    @property
    def has_launched(self) -> bool:
        """Whether the load test was executed: the host had all the resources for it."""
        return self._machine.has_launched

    @property
    def is_over(self) -> bool:
        """Whether no event changes it, not even a cancel."""
        return self._machine.is_over

    @property
    def fault(self) -> HostFault | None:
        """The fault of the host because of which the job was requeued, or None."""
        return outcome.host_fault(self._machine.cause)

    def start(self) -> Deferred[None]:
        """Begin; the Deferred fires when the job is over or requeued."""
        self._started_at = self._deps.now()
        self._machine.begin()
        self._preparing = ensureDeferred(self._prepare())
        return self._over

    def cancel(self, cause: FailureReason) -> None:
        """End the job in order and soon; `cause` counts unless there is one already."""
        self._machine.cancel(cause)

    def change(self, request: ChangeRequest) -> Change:
        """Change the load, which must be running.

        Raises:
            InvalidChange: the change does not fit the job.
            ImpossibleChange: the job was changed too often.
        """
        change = self._load.change(request)
        self._machine.set_load_seconds(self._load.steering.planned.seconds)
        return change

    def check_space(self) -> None:
        """End the job if the disk is nearly full or its log too long."""
        if self._recorder is not None and self._machine.phase is not Phase.PREPARING:
            self._recorder.check_space()

    def _fail(self, cause: FailureReason) -> None:
        self._machine.handle(Event.FAILED, cause)

    # The actions, in their usual order.

    async def _prepare(self) -> None:
        try:
            prepared = await self._deps.prepare(self.job)
            recorder = OutputRecorder(
                self.job, prepared, self._deps, self._fail, self._machine.output_counted
            )
            self._recorder = recorder
            self._actions[Action.SPAWN] = partial(self._spawn, recorder)
            self._deps.delivery.assign(self.job)
            self.job.has_log = True
            self.job.log_version = prepared.log.version
            await self._commit_started()
        except PreparationError as error:
            self._machine.handle(Event.PREPARATION_FAILED, error.cause)
        except (CancelledError, ConnectingCancelledError):
            return
        except Exception as error:
            self._not_started(error, "prepare-failed", "The job cannot be prepared")
        else:
            self._machine.handle(Event.PREPARED)

    async def _commit_started(self) -> None:
        """Save durably that the job has started, because no job may run twice.

        Raises:
            OSError: it is not saved; the job is queued as before.
        """
        job = self.job
        job.state, job.started_at = State.STARTING, self._started_at
        try:
            await self._deps.commit(job)
        except BaseException:
            job.state, job.started_at = State.QUEUED, None
            raise

    def _spawn(self, recorder: OutputRecorder) -> None:
        events = ProcessEvents(self.job, self._machine, recorder)
        process = self._deps.spawn(recorder.prepared.program, invocation(self.job), events)
        recorder.process = process
        self._actions[Action.CONNECT] = partial(self._connect, process)
        self._actions[Action.MEASURE] = partial(self._load.measure, process)
        self._actions[Action.TERMINATE] = process.terminate
        self._actions[Action.KILL] = process.kill

    def _connect(self, process: LoadTestProcess) -> None:
        connecting = connection.connect(self._deps, self._rpc, self.job.id, process.pid)
        self._connecting = ensureDeferred(connecting)
        self._connecting.addCallback(lambda _: self._machine.handle(Event.CONNECTED))
        self._connecting.addErrback(self._connection_failed)

    def _connection_failed(self, failure: Failure) -> None:
        if failure.check(connection.ForeignListener):
            sentence = "Another program took the RPC address before the load test did."
            self._fail(FailureReason("rpc-port-busy", sentence))
        elif not failure.check(CancelledError):
            sentence = f"The load test cannot be connected to: {failure.getErrorMessage()}."
            self._fail(FailureReason("connect-failed", sentence))

    def _drive(self) -> None:
        self._load.driver.start()
        # Its end follows all arrivals: their time does not begin before.
        self._machine.begin_load()

    def _threshold_crossed(self, sentence: str) -> None:
        if self._machine.phase is Phase.RUNNING:
            self.cancel(FailureReason("threshold", sentence))

    def _connection_lost(self, violation: str | None) -> None:
        self._load.driver.halt()
        protocol = "net/rpc/jsonrpc" if self.job.spec.drive == "jsonrpc" else "net/rpc"
        sentence = f"The load test does not speak {protocol}: {violation}."
        cause = None if violation is None else FailureReason("rpc-protocol", sentence)
        self._machine.handle(Event.CONNECTION_LOST, cause)

    def _hang_up(self) -> None:
        self._connecting.cancel()
        self._load.driver.halt()
        self._rpc.hang_up()

    def _action_failed(self, action: Action, error: Exception) -> None:
        """Log the error, and end the run if it cannot continue without the action."""
        if action is Action.SPAWN:
            self._not_started(error, "spawn-failed", "No process can be made")
            return
        self._log.failure("job {job}: {action} failed", job=self.job.id, action=action.value)
        if action in (Action.CONNECT, Action.DRIVE, Action.MEASURE):
            self._fail(outcome.defect("The load test cannot be driven", error))

    def _not_started(self, error: Exception, reason: str, what: str) -> None:
        cause = outcome.from_error(error, reason, what)
        if cause.reason == "internal-error":
            self._log.failure("starting job {job} failed", job=self.job.id)
        self._machine.handle(Event.PREPARATION_FAILED, cause)

    def _end(self) -> None:
        RunEnding(
            job=self.job,
            deps=self._deps,
            machine=self._machine,
            load=self._load,
            recorder=self._recorder,
            started_at=self._started_at,
            save=self._save,
            ended=lambda: self._over.callback(None),
        ).end()

    def _save(self) -> None:
        try:
            self._deps.save(self.job)
        except OSError as error:
            self._log.warn("job {job} is saved later: {error}", job=self.job.id, error=error)
        except Exception:
            self._log.failure("job {job} cannot be saved", job=self.job.id)
