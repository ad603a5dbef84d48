"""The agent as one service: makes each room's piece, gives it what it needs, starts and stops all.

The one place that knows everyone and touches the global reactor.
"""

from __future__ import annotations

import atexit
import os
import pwd
import signal
import sys
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from goloagent import remains
from goloagent.archive import Archive
from goloagent.condition import Condition
from goloagent.delivery.collector import Collector, http_client
from goloagent.delivery.runs import RunOfResults
from goloagent.delivery.shipper import Shipper
from goloagent.jobs import outcome
from goloagent.jobs.binaries import Binaries
from goloagent.jobs.job import Cause, Job
from goloagent.listening import close, listen
from goloagent.loadtest import survivors
from goloagent.loadtest.containment import Containment, NotAllowed, choose, ways
from goloagent.loadtest.listener import Owner, is_strangers
from goloagent.loadtest.process import LoadTestProcess, Program, Watcher, spawn
from goloagent.loadtest.users import Users, connect, is_free
from goloagent.metrics.lateness import Lateness
from goloagent.metrics.meter import Meter, Present
from goloagent.notify import notifier
from goloagent.premises import CannotStart, read_token, reason, take
from goloagent.pulse import Pulse
from goloagent.recovery import Recovery
from goloagent.results.runlog import (
    OUT,
    LogPathError,
    LogReader,
    open_reader,
    open_sync,
    read_stderr_tail,
    write_account,
)
from goloagent.retention import SWEEP_SECONDS, Retention
from goloagent.run import Run, Tools
from goloagent.settings import AUTO, Settings
from goloagent.space import Space
from goloagent.stage import Stage, Staged
from goloagent.statistics.file import write_statistics
from goloagent.statistics.run import RunStatistics
from goloagent.statistics.summary import Summary
from goloagent.supervisor import Supervisor
from goloagent.syncer import Syncer
from goloagent.web.access import Access
from goloagent.web.api import api
from goloagent.web.binaries import BinaryRoutes
from goloagent.web.broadcast import Broadcast
from goloagent.web.events import EventRoutes
from goloagent.web.health import Health, HealthRoutes
from goloagent.web.jobs import JobRoutes
from goloagent.web.limits import Limits
from goloagent.web.logs import LogRoutes
from goloagent.web.metrics import MetricsRoutes
from goloagent.web.page import PageRoutes
from goloagent.web.site import site
from goloagent.web.statistics import StatisticsRoutes

# From SIGTERM to the end, everything in.
STOP_SECONDS = 20.0
LEAST_DRAIN_SECONDS = 2.0
SPACE_SECONDS = 1.0
ACCOUNT_SECONDS = 1.0
BEAT_SECONDS = 10.0


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(timezone.utc)


class Agent(Service):
    """The agent with `settings`; opens nothing before it is started."""

    _log = Logger()

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._notifier = notifier(os.environ, os.getpid())
        self._condition = Condition(self._notifier)
        self._beat_loop = LoopingCall(self._condition.beat)
        self._ports: list[IListeningPort] = []
        self._disk_failure: Cause | None = None

    def startService(self) -> None:
        """Open, recover and listen, or end the process with one line on stderr.

        Raises:
            SystemExit: something is not to be had; nothing listens then.
            CannotStart: the same, in a daemon.
        """
        try:
            self._premises = take(self._settings, now)
            self._containment = self._contain()
            access = self._access()
            self._compose()
            self._listen(access)
        except CannotStart as error:
            self._log.critical("cannot start: {error}", error=error)
            if _is_daemon():
                raise  # to the twistd that waits for the daemon: it prints it
            # This twistd has made sys.stderr a part of the log.
            print(f"golo-agent: {error}", file=sys.__stderr__, flush=True)
            raise SystemExit(1) from None
        self._shipper.start()
        self._syncer.start()
        self._lateness.start()
        self._beat_loop.start(self._notifier.watchdog_seconds or BEAT_SECONDS)
        self._beginning = ensureDeferred(self._begin())
        self._beginning.addErrback(lambda failure: failure.trap(CancelledError))
        self._reactor.callWhenRunning(self._take_sigterm)
        super().startService()

    async def _begin(self) -> None:
        """Take up what an earlier life left, and begin with the queue."""
        # First what the database knows: what is restored is taken up as it is found.
        await self._recovery.recover()
        if self._premises.damage is not None:
            self._condition.notice(self._premises.damage)
            await self._recovery.restore(self._settings.logs, self._binaries.kept)
            self._premises.restored()
        for job in self._premises.store.unsettled():
            self._meter.observe(job)
        self._account_loop.start(ACCOUNT_SECONDS)
        self._supervisor.start()
        self._condition.ready()
        self._space_loop.start(SPACE_SECONDS)
        self._sweep_loop.start(SWEEP_SECONDS)
        self._pulse.start()

    def _access(self) -> Access:
        settings = self._settings
        token = read_token(settings.token_file)
        self._condition.protect(
            run_as=settings.run_as or pwd.getpwuid(os.geteuid()).pw_name,
            token=token is not None,
            min_free_bytes=settings.min_free_bytes,
        )
        return Access(
            token=token,
            networks=settings.allow_from,
            hosts=None if settings.no_auth else (),
        )

    def _contain(self) -> Containment:
        """End what is left of an earlier life, and choose what will keep later ones together.

        Raises:
            CannotStart: the containment that was asked for is not to be had.
        """
        found, wanted = ways(self._mark()), self._settings.containment
        for way in found:
            try:
                way.clear("")
            except OSError as error:
                self._tell_left("earlier jobs", error)
        self._tell_survivors("earlier jobs", survivors.end(self._mark()))
        try:
            containment = choose(None if wanted == AUTO else wanted, self._settings.run_as, found)
        except NotAllowed as error:
            raise CannotStart(f"--containment {wanted}: {error}") from None
        self._condition.protect(processes=containment.name)
        self._log.info("load tests are kept together by: {name}", name=containment.name)
        return containment

    def _mark(self, job_id: str = "") -> str:
        return survivors.mark_of(self._settings.state, job_id)

    async def _end_survivors(self, job: Job) -> None:
        """End what a job has left behind, off the reactor thread: there may be many processes."""
        try:
            await deferToThread(self._containment.clear, job.id)
        except OSError as error:
            self._tell_left(f"job {job.id}", error)
        ended = await deferToThread(survivors.end, self._mark(job.id))
        self._tell_survivors(f"job {job.id}", ended)

    def _tell_left(self, whose: str, error: OSError) -> None:
        self._log.warn("something of {whose} cannot be ended: {error}", whose=whose, error=error)

    def _tell_survivors(self, whose: str, ended: tuple[int, int]) -> None:
        killed, left = ended
        if killed or left:
            self._log.warn(
                "processes that outlived {whose}: {killed} killed, {left} left",
                whose=whose,
                killed=killed,
                left=left,
            )

    def _compose(self) -> None:
        """Make each room's piece, from delivery up to the supervisor, and recover."""
        from twisted.internet import reactor

        self._reactor = reactor
        settings, store = self._settings, self._premises.store
        self._broadcast = Broadcast()
        self._space = Space(
            (settings.logs, settings.state), settings.min_free_bytes, settings.max_log_bytes
        )
        self._binaries = Binaries(
            settings.state,
            store,
            now,
            self._space.shortage,
            settings.max_binaries_bytes,
            lambda binary: self._log.info("binary {id} makes room for another", id=binary.id),
        )
        try:
            self._binaries.open(keep_unknown=self._premises.damage is not None)
        except OSError as error:
            raise CannotStart(f"--state {error.filename}: {reason(error)}") from None
        self._meter = Meter(
            reactor,
            now,
            Present(
                ready=lambda: self._health().ready,
                jobs=store.count,
                log_bytes=self._log_bytes,
                free_bytes=lambda: {
                    "logs": self._space.free_bytes(settings.logs),
                    "state": self._space.free_bytes(settings.state),
                },
            ),
        )
        self._lateness = Lateness(reactor, self._meter.late)
        self._account_loop = LoopingCall(self._meter.account.look)
        http, self._pool = http_client(reactor, settings.insecure)
        collector = Collector(settings.collector, http, reactor)
        self._syncer = Syncer(reactor, deferToThread, store, self._disk_failed)
        self._shipper = Shipper(
            reactor, now, self._meter.measured(collector.push), self._open_run, self._commit
        )
        rpc = HostnameEndpoint(reactor, settings.rpc_host, settings.rpc_port)
        stage = Stage(
            work=self._premises.work,
            logs=settings.logs,
            binaries=self._binaries,
            user=settings.run_as,
            rpc_address=settings.rpc_address,
            rpc_is_free=lambda: is_free(rpc),
            in_thread=deferToThread,
            shortage=self._space.shortage,
        )

        async def prepare(job: Job) -> Staged:
            staged = await stage.prepare(job)
            self._syncer.follow(staged.log, open_sync(settings.logs, job.spec.name, job.id))
            return staged

        tools = Tools(
            clock=reactor,
            now=now,
            prepare=prepare,
            spawn=self._spawn,
            connect=lambda users: connect(reactor, rpc, users),
            is_strangers=self._is_strangers,
            save=self._save,
            results=self._shipper,
            too_much=self._space.too_much,
            keep_statistics=self._keep_statistics,
            in_thread=deferToThread,
        )
        self._supervisor = Supervisor(
            store,
            make_run=lambda job: Run(job, tools),
            end_survivors=lambda job: ensureDeferred(self._end_survivors(job)),
            now=now,
        )
        self._space_loop = LoopingCall(self._supervisor.check_space)
        self._pulse = Pulse(reactor, now, lambda: self._supervisor.running, self._broadcast)
        self._recovery = Recovery(
            store,
            self._open_log,
            self._shipper,
            self._commit,
            now,
            deferToThread,
            self._condition.notice,
            self._keep_statistics,
            lambda job: read_stderr_tail(settings.logs, job.spec.name, job.id),
        )
        retention = Retention(
            store, settings.logs, settings.keep_days, settings.keep_bytes, now, deferToThread
        )
        self._sweep_loop = LoopingCall(lambda: ensureDeferred(retention.sweep()))

    def stopService(self) -> Deferred[None]:
        """Stop in order: requests, the running job, its results; in 20 s at most."""
        super().stopService()
        return ensureDeferred(self._stop())

    async def _stop(self) -> None:
        failure = self._disk_failure
        deadline = self._reactor.seconds() + STOP_SECONDS
        if failure is None:
            self._condition.become("stopping", "the agent was told to end")
            await close(self._ports)
        self._beginning.cancel()
        for loop in (self._space_loop, self._sweep_loop, self._account_loop):
            if loop.running:
                loop.stop()
        if failure is not None:
            # What cannot be committed would only be sent again.
            await self._shipper.stop(0.0)
        await self._supervisor.stop(failure or outcome.AGENT_STOPPED)
        self._pulse.stop()
        if failure is None:
            await self._shipper.stop(max(LEAST_DRAIN_SECONDS, deadline - self._reactor.seconds()))
        await close(self._ports)
        await self._pool.closeCachedConnections()
        await self._syncer.stop()
        self._lateness.stop()
        if self._disk_failure is None:
            # To close the database is to trust the disk with what it holds.
            self._premises.leave()
        self._beat_loop.stop()

    def _disk_failed(self, sentence: str) -> None:
        """Commit nothing any more, and end: after a restart the disk says what it has."""
        self._log.critical("{sentence}; the agent ends", sentence=sentence)
        self._meter.sync_failed()
        stopping = self._condition.health.status == "stopping"
        self._condition.become("disk-failed", sentence)
        self._disk_failure = Cause("disk-failed", f"The agent ended: {sentence}.")
        self._premises.store.freeze()
        atexit.register(_exit_as_failed)
        if not stopping:
            self._reactor.stop()

    def _save(self, job: Job) -> None:
        """Keep a job as it stands now, and its account beside a log that is fully delivered."""
        self._tell(job)
        self._syncer.save(job)
        if not job.settled or not job.logged or self._disk_failure is not None:
            return
        try:
            account = remains.account(job)
            write_account(self._settings.logs, job.spec.name, job.id, account)
        except (OSError, LogPathError) as error:
            self._log.warn("no account of job {id} is written: {error}", id=job.id, error=error)

    def _commit(self, job: Job) -> None:
        """Keep a job now or in time: what is delivered and not committed may be sent again."""
        with suppress(OSError):  # said, and tried again with the next sync
            self._save(job)

    def _take_sigterm(self) -> None:
        """Have SIGTERM end in exit code 0: twistd alone would end by the signal."""

        def stop(*_: object) -> None:
            # A signal interrupts the reactor anywhere: let it stop between two events.
            self._reactor.callFromThread(self._reactor.stop)  # type: ignore[attr-defined]
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

        signal.signal(signal.SIGTERM, stop)

    def _listen(self, access: Access) -> None:
        """Listen on every endpoint, or on none.

        Raises:
            CannotStart: one of them is not to be had.
        """
        store = self._premises.store

        def submit(job: Job) -> None:
            self._meter.observe(job)
            self._supervisor.look()

        application = api(
            BinaryRoutes(self._binaries, in_thread=deferToThread),
            JobRoutes(
                store=store,
                submit=submit,
                cancel=self._cancel,
                now=now,
                health=self._health,
            ),
            HealthRoutes(self._health),
            PageRoutes(),
            LogRoutes(store, self._open_log, self._reactor),
            EventRoutes(store, self._broadcast, self._reactor),
            StatisticsRoutes(
                store,
                self._running_statistics,
                Archive(self._settings.logs, deferToThread).summary,
                self._reactor,
            ),
            MetricsRoutes(self._meter.exposition),
            token=access.token is not None,
        )
        settings = self._settings
        factory = site(
            application,
            access,
            self._binaries,
            settings.max_upload_bytes,
            self._reactor,
            self._meter.uploaded,
            Limits(settings.max_connections, settings.max_connections_per_peer),
        )
        self._ports = listen(self._reactor, self._settings.listen, factory)

    def _health(self) -> Health:
        return self._condition.fares(self._space.shortage)

    def _spawn(self, staged: Staged, watcher: Watcher) -> LoadTestProcess:
        program = Program(
            path=staged.program,
            directory=staged.directory,
            rpc_address=self._settings.rpc_address,
            mark=self._mark(staged.directory.name),
            user=self._settings.run_as,
            containment=self._containment,
        )
        return spawn(self._reactor, program, watcher)

    async def _is_strangers(self, job: Job, process: LoadTestProcess, users: Users) -> bool:
        user = self._settings.run_as
        uid = os.geteuid() if user is None else pwd.getpwnam(user).pw_uid
        owner = Owner(process.pid, self._mark(job.id), uid)
        return await deferToThread(is_strangers, *users.ends, owner)

    def _cancel(self, job: Job) -> None:
        self._supervisor.cancel(job)
        self._tell(job)

    def _tell(self, job: Job) -> None:
        """Tell whoever follows or counts that a job has changed."""
        self._meter.observe(job)
        self._broadcast.changed(job)

    def _running_statistics(self, job: Job) -> RunStatistics | None:
        run = self._supervisor.running
        return run.statistics if run is not None and run.job is job else None

    def _open_log(self, job: Job, file: str = OUT) -> LogReader:
        return open_reader(self._settings.logs, job.spec.name, job.id, file)

    def _log_bytes(self, job: Job) -> int:
        return (self._settings.logs / job.spec.name / job.id / "out.log").lstat().st_size

    def _keep_statistics(self, job: Job, summary: Summary) -> None:
        write_statistics(self._settings.logs, job.spec.name, job.id, summary)

    def _open_run(self, job: Job) -> RunOfResults:
        rejected = self._settings.logs / job.spec.name / job.id / "rejected.jsonl"
        return RunOfResults(self._open_log(job), rejected)


def _is_daemon() -> bool:
    """Tell whether twistd has daemonized: standard error then leads nowhere."""
    return os.fstat(2).st_rdev == Path(os.devnull).stat().st_rdev


def _exit_as_failed() -> None:
    """End with exit code 1, and without closing the database."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
