"""The agent as one service: makes each room's piece, gives it what it needs, starts and stops all.

The one place that knows everyone and touches the global reactor.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sqlite3
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import IO

from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Site

from goloagent.delivery.collector import Collector, http_client
from goloagent.delivery.runs import RunOfResults
from goloagent.delivery.shipper import Shipper
from goloagent.jobs.binaries import Binaries
from goloagent.jobs.job import Job
from goloagent.jobs.store import Store
from goloagent.loadtest.process import LoadTestProcess, Program, Watcher, spawn
from goloagent.loadtest.users import connect, is_free
from goloagent.recovery import recover
from goloagent.results.runlog import LogReader, open_reader
from goloagent.run import Run, Tools
from goloagent.settings import Settings
from goloagent.stage import Stage, Staged
from goloagent.supervisor import Supervisor
from goloagent.web.access import Access
from goloagent.web.api import Api
from goloagent.web.health import Health
from goloagent.web.site import site

# From SIGTERM to the end, everything in.
STOP_SECONDS = 20.0
LEAST_DRAIN_SECONDS = 2.0


class CannotStart(SystemExit):
    """The agent cannot start; the message is the one line that says why."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"golo-agent: {sentence}")


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
        """Open, recover, listen, in this order.

        Raises:
            CannotStart: a directory, the database or a port is not to be had; nothing listens then.
        """
        from twisted.internet import reactor

        self._reactor = reactor
        settings = self._settings
        work = settings.state / "work"
        self._lock = _take(settings.state)
        _make_directories(settings, work)
        self._store = _open_store(settings.state / "golo-agent.sqlite")
        binaries = Binaries(settings.state, self._store, now)
        binaries.open()
        access = _access(settings)

        http, self._pool = http_client(reactor, settings.insecure)
        self._shipper = Shipper(
            reactor,
            now,
            Collector(settings.collector, http, reactor).push,
            self._open_run,
            self._store.save,
        )
        rpc = HostnameEndpoint(reactor, settings.rpc_host, settings.rpc_port)
        stage = Stage(
            work,
            settings.logs,
            binaries,
            settings.run_as,
            settings.rpc_address,
            lambda: is_free(rpc),
            deferToThread,
        )
        tools = Tools(
            clock=reactor,
            now=now,
            prepare=stage.prepare,
            spawn=self._spawn,
            connect=lambda users: connect(reactor, rpc, users),
            save=self._store.save,
            results=self._shipper,
        )
        self._supervisor = Supervisor(self._store, lambda job: Run(job, tools))
        api = Api(
            store=self._store,
            submit=lambda job: self._supervisor.look(),
            now=now,
            health=lambda: self._health,
        )
        recover(self._store, self._open_log, self._shipper, now)
        self._listen(site(api, access, binaries, settings.max_upload_bytes, reactor))
        self._shipper.start()
        self._supervisor.start()
        self._health = Health()
        reactor.callWhenRunning(self._take_sigterm)
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Stop in order: requests, the running job, its results; in 20 s at most."""
        super().stopService()
        return ensureDeferred(self._stop())

    async def _stop(self) -> None:
        self._health = Health("stopping", "the agent was told to end")
        deadline = self._reactor.seconds() + STOP_SECONDS
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        await self._supervisor.stop()
        await self._shipper.stop(max(LEAST_DRAIN_SECONDS, deadline - self._reactor.seconds()))
        await self._pool.closeCachedConnections()
        self._store.close()
        self._lock.close()

    def _take_sigterm(self) -> None:
        """Have SIGTERM end in exit code 0: twistd alone would end by the signal."""

        def stop(*_: object) -> None:
            # A signal interrupts the reactor anywhere: let it stop between two events.
            self._reactor.callFromThread(self._reactor.stop)  # type: ignore[attr-defined]
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

        signal.signal(signal.SIGTERM, stop)

    def _listen(self, factory: Site) -> None:
        for description in self._settings.listen:
            try:
                endpoint = serverFromString(self._reactor, description)
                outcome: list[IListeningPort | Failure] = []
                endpoint.listen(factory).addBoth(outcome.append)
                (port,) = outcome
                if isinstance(port, Failure):
                    port.raiseException()
            except Exception as error:
                for open_port in self._ports:
                    open_port.stopListening()
                raise CannotStart(f"--listen {description}: {_reason(error)}") from None
            self._ports.append(port)
            self._log.info("listening on {address}", address=port.getHost())

    def _spawn(self, staged: Staged, watcher: Watcher) -> LoadTestProcess:
        program = Program(
            staged.program, staged.directory, self._settings.rpc_address, self._settings.run_as
        )
        return spawn(self._reactor, program, watcher)

    def _open_log(self, job: Job) -> LogReader:
        return open_reader(self._settings.logs, job.spec.name, job.id)

    def _open_run(self, job: Job) -> RunOfResults:
        rejected = self._settings.logs / job.spec.name / job.id / "rejected.jsonl"
        return RunOfResults(self._open_log(job), rejected)


def _take(state: Path) -> IO[bytes]:
    """Make the state directory this agent's own for as long as the returned file is open."""
    try:
        state.mkdir(mode=0o711, parents=True, exist_ok=True)
        lock = (state / "lock").open("wb")
    except OSError as error:
        raise CannotStart(f"--state {state}: {_reason(error)}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CannotStart(f"--state {state}: another agent is using it") from None
    return lock


def _make_directories(settings: Settings, work: Path) -> None:
    """Make the directories, empty what an earlier life was working in, and try to write."""
    for option, directory, mode in (("--state", work, 0o711), ("--logs", settings.logs, 0o755)):
        try:
            directory.mkdir(mode=mode, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory):
                pass
        except OSError as error:
            raise CannotStart(f"{option} {directory}: {_reason(error)}") from None
    for leftover in work.iterdir():
        shutil.rmtree(leftover, ignore_errors=True)


def _open_store(path: Path) -> Store:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        return Store(path)
    except (OSError, sqlite3.Error) as error:
        raise CannotStart(
            f"--state: the database {path} cannot be opened: {_reason(error)}"
        ) from None


def _access(settings: Settings) -> Access:
    token = None
    if settings.token_file is not None:
        try:
            token = settings.token_file.read_bytes().strip()
        except OSError as error:
            raise CannotStart(f"--token-file {settings.token_file}: {_reason(error)}") from None
        if not token:
            raise CannotStart(f"--token-file {settings.token_file}: it is empty")
    hosts = None if settings.no_auth else ()
    return Access(token=token, networks=settings.allow_from, hosts=hosts)


def _reason(error: Exception) -> str:
    if isinstance(error, CannotListenError):
        error = error.socketError
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
