"""The agent as one service: makes each room's piece, gives it what it needs, starts and stops all.

The one place that knows everyone and touches the global reactor.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import datetime, timezone
from pathlib import Path

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, serverFromString
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Site

from goloagent.delivery.collector import Collector, http_client
from goloagent.delivery.runs import RunOfResults
from goloagent.delivery.shipper import Shipper
from goloagent.jobs.binaries import Binaries
from goloagent.jobs.job import Job
from goloagent.loadtest import survivors
from goloagent.loadtest.containment import Containment, NotAllowed, choose
from goloagent.loadtest.process import LoadTestProcess, Program, Watcher, spawn
from goloagent.loadtest.users import connect, is_free
from goloagent.premises import CannotStart, read_token, reason, take
from goloagent.recovery import recover
from goloagent.results.runlog import LogReader, open_reader
from goloagent.run import Run, Tools
from goloagent.settings import AUTO, Settings
from goloagent.stage import Stage, Staged
from goloagent.supervisor import Supervisor
from goloagent.web.access import Access
from goloagent.web.api import Api
from goloagent.web.health import READY, Health, Protections
from goloagent.web.site import site

# From SIGTERM to the end, everything in.
STOP_SECONDS = 20.0
LEAST_DRAIN_SECONDS = 2.0


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(timezone.utc)


class Agent(Service):
    """The agent with `settings`; opens nothing before it is started."""

    _log = Logger()

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._health = Health("starting")
        self._ports: list[IListeningPort] = []

    def startService(self) -> None:
        """Open, recover and listen, or end the process with one line on stderr.

        Raises:
            SystemExit: something is not to be had; nothing listens then.
            CannotStart: the same, in a daemon.
        """
        try:
            self._premises = take(self._settings)
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
        self._supervisor.start()
        self._health = attrs.evolve(self._health, status=READY)
        self._reactor.callWhenRunning(self._take_sigterm)
        super().startService()

    def _access(self) -> Access:
        settings = self._settings
        return Access(
            token=read_token(settings.token_file),
            networks=settings.allow_from,
            hosts=None if settings.no_auth else (),
        )

    def _contain(self) -> Containment:
        """End what is left of an earlier life, and choose what will keep later ones together.

        Raises:
            CannotStart: the containment that was asked for is not to be had.
        """
        self._tell_survivors("earlier jobs", survivors.end(self._mark()))
        wanted = self._settings.containment
        try:
            containment = choose(
                None if wanted == AUTO else Containment(wanted), self._settings.run_as
            )
        except NotAllowed as error:
            raise CannotStart(f"--containment {wanted}: {error}") from None
        self._health = attrs.evolve(
            self._health, protections=Protections(processes=containment.value)
        )
        self._log.info("load tests are kept together by: {name}", name=containment.value)
        return containment

    def _mark(self, job_id: str = "") -> str:
        return survivors.mark_of(self._settings.state, job_id)

    def _end_survivors(self, job: Job) -> Deferred[None]:
        """End what a job has left behind, off the reactor thread: there may be many processes."""
        ending = deferToThread(survivors.end, self._mark(job.id))
        return ending.addCallback(lambda ended: self._tell_survivors(f"job {job.id}", ended))

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
        self._binaries = Binaries(settings.state, store, now)
        try:
            self._binaries.open()
        except OSError as error:
            raise CannotStart(f"--state {error.filename}: {reason(error)}") from None
        http, self._pool = http_client(reactor, settings.insecure)
        collector = Collector(settings.collector, http, reactor)
        self._shipper = Shipper(reactor, now, collector.push, self._open_run, store.save)
        rpc = HostnameEndpoint(reactor, settings.rpc_host, settings.rpc_port)
        stage = Stage(
            work=self._premises.work,
            logs=settings.logs,
            binaries=self._binaries,
            user=settings.run_as,
            rpc_address=settings.rpc_address,
            rpc_is_free=lambda: is_free(rpc),
            in_thread=deferToThread,
        )
        tools = Tools(
            clock=reactor,
            now=now,
            prepare=stage.prepare,
            spawn=self._spawn,
            connect=lambda users: connect(reactor, rpc, users),
            save=store.save,
            results=self._shipper,
        )
        self._supervisor = Supervisor(store, lambda job: Run(job, tools), self._end_survivors)
        recover(store, self._open_log, self._shipper, now)

    def stopService(self) -> Deferred[None]:
        """Stop in order: requests, the running job, its results; in 20 s at most."""
        super().stopService()
        return ensureDeferred(self._stop())

    async def _stop(self) -> None:
        self._health = attrs.evolve(
            self._health, status="stopping", reason="the agent was told to end"
        )
        deadline = self._reactor.seconds() + STOP_SECONDS
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        await self._supervisor.stop()
        await self._shipper.stop(max(LEAST_DRAIN_SECONDS, deadline - self._reactor.seconds()))
        await self._pool.closeCachedConnections()
        self._premises.leave()

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
        api = Api(
            store=self._premises.store,
            submit=lambda job: self._supervisor.look(),
            now=now,
            health=lambda: self._health,
            in_thread=deferToThread,
        )
        factory = site(api, access, self._binaries, self._settings.max_upload_bytes, self._reactor)
        for description in self._settings.listen:
            try:
                port = _listen_now(serverFromString(self._reactor, description), factory)
            except Exception as error:
                for open_port in self._ports:
                    open_port.stopListening()
                raise CannotStart(f"--listen {description}: {reason(error)}") from None
            self._ports.append(port)
            self._log.info("listening on {address}", address=port.getHost())

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

    def _open_log(self, job: Job) -> LogReader:
        return open_reader(self._settings.logs, job.spec.name, job.id)

    def _open_run(self, job: Job) -> RunOfResults:
        rejected = self._settings.logs / job.spec.name / job.id / "rejected.jsonl"
        return RunOfResults(self._open_log(job), rejected)


def _is_daemon() -> bool:
    """Tell whether twistd has daemonized: standard error then leads nowhere."""
    return os.fstat(2).st_rdev == Path(os.devnull).stat().st_rdev


def _listen_now(endpoint: IStreamServerEndpoint, factory: Site) -> IListeningPort:
    """Listen, with an endpoint that needs no time for it: all of Twisted's own are such."""
    outcome: list[IListeningPort | Failure] = []
    endpoint.listen(factory).addBoth(outcome.append)
    (port,) = outcome
    if isinstance(port, Failure):
        port.raiseException()
    return port
