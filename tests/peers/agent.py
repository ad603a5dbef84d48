"""A real agent: ``twistd golo-agent`` on free ports, used over HTTP."""

from __future__ import annotations

import json
import os
import pwd
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import treq
from treq.client import HTTPClient
from twisted.internet import defer, task
from twisted.internet.error import ConnectError
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.web.client import Agent as HTTPAgent
from twisted.web.client import HTTPConnectionPool, ResponseNeverReceived

import goloagent
from goloagent.runs.timeouts import Timeouts
from goloagent.sandbox import orphans
from peers import crashing
from peers.audit import OVER, audit
from peers.certificate import self_signed
from peers.collector import Collector
from peers.ports import free_port

TOKEN = "correct-horse"
TWISTD = Path(sys.executable).parent / "twistd"
_POLL_SECONDS = 0.05
# From SIGTERM to the exit.
_STOP_SECONDS = 30
# A process that waits for a disk ends when the disk responds.
_KILL_SECONDS = 30
# The timeouts of its load tests: short, and long enough for a busy machine.
TIMEOUTS = Timeouts(quiet_seconds=0.4, grace_seconds=2)
# A shared disk may take seconds for the syncs of a start.
_START_SECONDS = 60


@attrs.frozen
class Response:
    """A response of the agent."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.text)


class Twistd(ProcessProtocol):
    """One ``twistd``; `ended` fires with its exit code, or with minus the signal that ended it."""

    def __init__(self) -> None:
        self.stdout = b""
        self.stderr = b""
        self.code: int | None = None
        self.ended: defer.Deferred[int] = defer.Deferred()

    def outReceived(self, data: bytes) -> None:
        self.stdout += data

    def errReceived(self, data: bytes) -> None:
        self.stderr += data

    def processEnded(self, reason: Failure) -> None:
        error = reason.value
        self.code = -error.signal if error.signal is not None else error.exitCode
        self.ended.callback(self.code)


def twistd(
    reactor: Any,
    directory: Path,
    arguments: list[str],
    crash_at: str | None = None,
    prefix: tuple[str, ...] = (),
) -> Twistd:
    """Start ``twistd -n golo-agent`` in `directory`.

    Args:
        crash_at: a point of `peers.crashing` at which it fails.
        prefix: a command that executes its arguments.
    """
    program = [str(TWISTD)] if crash_at is None else [sys.executable, crashing.__file__, crash_at]
    command = [*prefix, *program, "-n", "--pidfile=", "golo-agent", *arguments]
    # Use the same package whether it is installed or imported from a checkout.
    environment = {**os.environ, "PYTHONPATH": str(Path(goloagent.__file__).parents[1])}
    process = Twistd()
    reactor.spawnProcess(process, command[0], command, env=environment, path=str(directory))
    return process


class Agent:
    """An agent with all files below `directory`; it can be restarted."""

    def __init__(self, reactor: Any, directory: Path, collector: Collector) -> None:
        self._reactor = reactor
        self._directory = directory
        self._collector = collector
        self.port = free_port()
        self.rpc_port = free_port()
        self.options = {
            "--listen": f"tcp:{self.port}:interface=127.0.0.1",
            "--rpc": f"127.0.0.1:{self.rpc_port}",
            "--collector": collector.url,
            "--logs": str(directory / "logs"),
            "--state": str(directory / "state"),
            # The default for root is `nobody`, who cannot read below pytest's directories.
            "--run-as": pwd.getpwuid(os.geteuid()).pw_name,
            "--quiet-period": f"{TIMEOUTS.quiet_seconds}",
            "--grace": f"{TIMEOUTS.grace_seconds}",
        }
        # Repeated options.
        self.more: tuple[str, ...] = ()
        self.prefix: tuple[str, ...] = ()
        self.jobs: list[str] = []
        self._log = b""
        self._process: Twistd | None = None
        self._pool = HTTPConnectionPool(reactor)
        self._http = HTTPClient(HTTPAgent(reactor, pool=self._pool))

    @property
    def logs(self) -> Path:
        """The directory of logs."""
        return Path(self.options["--logs"])

    @property
    def state(self) -> Path:
        """The state directory."""
        return Path(self.options["--state"])

    def require_token(self) -> None:
        """Require `TOKEN` from the next start on."""
        path = self._directory / "token"
        path.write_text(TOKEN)
        path.chmod(0o600)
        self.options["--token-file"] = str(path)

    def listen_with_tls(self) -> tuple[int, Path]:
        """Listen with TLS too from the next start on; return the port and the certificate."""
        pem, port = self._directory / "agent.pem", free_port()
        pem.write_bytes(self_signed("127.0.0.1"))
        self.options[f"--listen=ssl:{port}:privateKey={pem}:certKey={pem}"] = ""
        return port, pem

    @property
    def arguments(self) -> list[str]:
        """The command line; flags have an empty value."""
        return [word for pair in self.options.items() for word in pair if word] + [*self.more]

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.code is None

    @property
    def pid(self) -> int:
        """The process ID of the running agent."""
        return self._running().transport.pid

    @property
    def log(self) -> str:
        """The stdout and stderr of all processes of the agent."""
        now = b"" if self._process is None else self._process.stdout + self._process.stderr
        return (self._log + now).decode(errors="replace")

    async def start(self, crash_at: str | None = None) -> None:
        """Start it and return when ``/health`` reports ready.

        Args:
            crash_at: a point of `peers.crashing` at which it fails.

        Raises:
            AssertionError: it ended or is not ready in time; with its log.
        """
        self.launch(crash_at)
        await self._within(_START_SECONDS, self._ready(), "the agent is not ready")

    def launch(self, crash_at: str | None = None) -> None:
        """Start it without waiting."""
        assert not self.running, "the agent runs already"
        self._log = self.log.encode()
        self._process = twistd(
            self._reactor, self._directory, self.arguments, crash_at, self.prefix
        )

    async def health(self, status: str = "ready") -> Response:
        """Return the response of ``/health`` once it has this status."""

        async def response() -> Response:
            while True:
                answer = await self.request("GET", "/health")
                if answer.json["status"] == status:
                    assert answer.status == (200 if status == "ready" else 503), answer
                    return answer
                await task.deferLater(self._reactor, _POLL_SECONDS)

        return await self._within(30, response(), f"/health is not {status}")

    async def logged(self, text: str, times: int = 1) -> None:
        """Return once `text` is in the log at least `times`."""
        await self._until(lambda: self.log.count(text) >= times, 30, f"not logged: {text!r}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._running().transport.signalProcess(number)

    async def signal(self, *numbers: signal.Signals) -> int:
        """Send signals, each after the previous one is logged, and return the exit code."""
        process = self._running()
        await self._pool.closeCachedConnections()
        for number in numbers:
            before = self.log.count(number.name)
            process.transport.signalProcess(number)
            await self.logged(number.name, before + 1)
        return await self._within(_STOP_SECONDS, process.ended, "the agent does not end")

    async def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        return await self._end(signal.SIGTERM, _STOP_SECONDS)

    async def kill(self, alone: bool = False) -> int:
        """Send SIGKILL; return once the agent and, unless `alone`, its load tests have ended."""
        code = await self._end(signal.SIGKILL, _KILL_SECONDS)
        if not alone:
            await self.nothing_left()
        return code

    async def crashed(self, timeout_seconds: float = 30) -> int:
        """Return the exit code of an agent that ends without a signal of the test."""
        process = self._running()
        code = await self._within(timeout_seconds, process.ended, "the agent does not end")
        await self._pool.closeCachedConnections()
        return code

    @property
    def resident_bytes(self) -> int:
        """The memory of the running agent."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()

    @property
    def descriptors(self) -> int:
        """The number of open descriptors of the running agent."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    async def close(self) -> None:
        """Close the HTTP connections."""
        await self._pool.closeCachedConnections()

    async def request(self, method: str, path: str, **more: Any) -> Response:
        """Send a request, with the token if one is configured; `more` is passed to treq."""
        headers = more.pop("headers", {})
        if "--token-file" in self.options:
            token = Path(self.options["--token-file"]).read_text().strip()
            headers = {"Authorization": f"Bearer {token}", **headers}
        url = f"http://127.0.0.1:{self.port}{path}"
        response = await self._http.request(method, url, headers=headers, **more)
        body = await treq.content(response)
        headers = {
            key.decode("latin-1").lower(): values[-1].decode("latin-1")
            for key, values in response.headers.getAllRawHeaders()
        }
        return Response(response.code, body.decode(), headers)

    async def upload(self, program: Path, kind: str = "program") -> str:
        """Upload a load test, or a file for one, and return the ID of the binary."""
        # treq closes the file, which it may still send after an early refusal.
        file = program.open("rb")
        answer = await self.request(
            "POST",
            f"/upload?kind={kind}",
            files={"file": (program.name, "application/octet-stream", file)},
        )
        assert answer.status == 200, answer
        return answer.json["binary"]

    async def queue(
        self, name: str, program: Path | str, duration: float = 0, users: int = 25, **members: Any
    ) -> str:
        """Queue a job and return its ID; a path is uploaded first.

        Other members replace the duration and the users of the closed model.
        """
        binary = await self.upload(program) if isinstance(program, Path) else program
        load = {} if {"load", "rate"} & set(members) else {"users": users}
        if duration:
            load["duration"] = duration
        wanted = {"name": name, "binary": binary, **load, **members}
        answer = await self.request("POST", "/queue", data=json.dumps(wanted).encode())
        assert answer.status == 201, answer
        self.jobs.append(answer.json["id"])
        return answer.json["id"]

    async def job(self, job_id: str) -> dict[str, Any]:
        """Return the job resource, and check that its counts balance."""
        answer = await self.request("GET", f"/jobs/{job_id}")
        assert answer.status == 200, answer
        job = answer.json
        results = job["results"]
        assert results["read"] == results["valid"] + results["invalid"], job
        # An agent of before has no outputs.
        for account in (results, *job.get("outputs", {}).values()):
            accounted = ("delivered", "rejected", "pending", "abandoned")
            assert results["valid"] == sum(account[part] for part in accounted), job
        assert all(count >= 0 for count in [*results.values(), *job["calls"].values()]), job
        return job

    async def end_load(self, job_id: str) -> None:
        """End the load of a running job, as the end of its duration does."""
        answer = await self.request("PATCH", f"/jobs/{job_id}", json={"duration": 0})
        assert answer.status == 200, answer

    async def reached(
        self, job_id: str, *states: str, pending: int | None = None, timeout_seconds: float = 60
    ) -> dict[str, Any]:
        """Return the job once it is in one of `states`, with this number of pending results."""

        async def reached() -> dict[str, Any]:
            while True:
                job = await self.job(job_id)
                if job["state"] in states and pending in (None, job["results"]["pending"]):
                    return job
                await task.deferLater(self._reactor, _POLL_SECONDS)

        failure = f"job {job_id} is not {' or '.join(states)} with {pending} pending results"
        return await self._within(timeout_seconds, reached(), failure)

    async def ended(self, job_id: str, timeout_seconds: float = 60) -> dict[str, Any]:
        """Return the job once it is over."""
        return await self.reached(job_id, *OVER, timeout_seconds=timeout_seconds)

    async def settled(self, job_id: str, timeout_seconds: float = 60) -> dict[str, Any]:
        """Return the job once it is over and has no pending results."""
        return await self.reached(job_id, *OVER, pending=0, timeout_seconds=timeout_seconds)

    async def complete(
        self, job_id: str, *names: str, timeout_seconds: float = 120
    ) -> dict[str, Any]:
        """Return the job once it is over and these outputs, or all of it, have everything."""

        async def complete() -> dict[str, Any]:
            while True:
                job = await self.job(job_id)
                outputs = job["outputs"]
                if job["state"] in OVER and all(outputs[n]["complete"] for n in names or outputs):
                    return job
                await task.deferLater(self._reactor, _POLL_SECONDS)

        failure = f"job {job_id} is not complete in {names or 'all outputs'}"
        return await self._within(timeout_seconds, complete(), failure)

    def run_log(self, job_id: str, name: str, log: str = "out.log") -> Path:
        """Return the path of a run's log."""
        return self.logs / name / job_id / log

    def processes(self) -> list[str]:
        """Return the running processes of its load tests, by the tag in their environment."""
        found: list[str] = []
        if not self.state.is_dir():
            return found  # no agent has started
        tag = orphans.env_tag(self.state)
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if orphans.has_tag((process / "environ").read_bytes(), tag):
                    found.append(f"{process.name} {(process / 'cmdline').read_bytes()!r}")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it has ended, or is not readable
        return found

    async def nothing_left(self, timeout_seconds: float = _KILL_SECONDS) -> None:
        """Return once no process of a load test is left."""
        failure = "a process of a load test is left"
        await self._until(lambda: not self.processes(), timeout_seconds, failure)

    async def check(self) -> None:
        """Check what holds after every test, and stop the agent (R13).

        The counts agree with database, logs and collector; SIGTERM leaves no process.
        """
        if self.running:
            for job_id in self.jobs:
                await self.job(job_id)
            assert await self.stop() == 0, self.log
        await self.nothing_left()
        complaints = audit(self.state, self.logs, self._collector.pushes)
        assert not complaints, "\n".join(complaints)

    async def finish(self) -> None:
        """Run the checks after a test, and end the agent."""
        try:
            await self.check()
        finally:
            if self.running:
                await self.kill()
            await self.close()
            print(self.log)  # shown if the test fails

    async def _ready(self) -> None:
        while True:
            process = self._running()
            try:
                answer = await self.request("GET", "/health")
            except (ConnectError, ResponseNeverReceived):
                pass
            else:
                if answer.status == 200:
                    return
            if process.code is not None:
                raise AssertionError(
                    f"the agent ended with {process.code} before it was ready\n{self.log}"
                )
            await task.deferLater(self._reactor, _POLL_SECONDS)

    async def _until(self, condition: Callable[[], bool], seconds: float, failure: str) -> None:
        async def hold() -> None:
            while not condition():
                await task.deferLater(self._reactor, _POLL_SECONDS)

        await self._within(seconds, hold(), failure)

    async def _end(self, number: signal.Signals, timeout_seconds: float) -> int:
        process = self._running()
        await self._pool.closeCachedConnections()
        process.transport.signalProcess(number)
        return await self._within(timeout_seconds, process.ended, "the agent does not end")

    async def _within(self, seconds: float, awaitable: Awaitable[Any], failure: str) -> Any:
        """Return the result, or fail with a message and the agent's log."""

        async def wait() -> Any:
            return await awaitable

        try:
            return await defer.ensureDeferred(wait()).addTimeout(seconds, self._reactor)
        except defer.TimeoutError:
            raise AssertionError(
                f"{failure} after {seconds} s; left: {self.processes()}\n{self.log}"
            ) from None

    def _running(self) -> Twistd:
        assert self._process is not None, "the agent was never started"
        return self._process
