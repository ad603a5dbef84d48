"""A real agent, run by twistd, used over HTTP and measured through /proc."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import goloagent
from bench import peer

_POLL_SECONDS = 0.02
_PATIENCE_SECONDS = 60
_LAG = re.compile(r'golo_agent_event_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)')
_PUSHES = re.compile(r"^golo_agent_batch_results_count\S* (\S+)", re.MULTILINE)
_OVER = ("finished", "failed", "cancelled", "interrupted")


@dataclass(frozen=True)
class Moment:
    """A job's counts and the agent's CPU time at a moment."""

    time: float
    cpu: float
    calls: int
    read: int
    delivered: int


@dataclass(frozen=True)
class Agent:
    """A running agent."""

    process: subprocess.Popen[bytes]
    address: str

    @property
    def cpu_seconds(self) -> float:
        """The CPU time of the process with all its threads, none of which ends."""
        # In nanoseconds, while /proc/<pid>/stat counts ticks of 10 ms.
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def memory(self, what: str) -> float:
        """Return VmRSS or VmHWM, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{what}:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024

    def reset_peak(self) -> None:
        """Reset VmHWM."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def lags(self) -> dict[float, float]:
        """Return the histogram of event-loop lag: counts by upper bound in seconds."""
        text = self.ask("GET", "/metrics").decode()
        return {float(bound): float(count) for bound, count in _LAG.findall(text)}

    def pushes(self) -> float:
        """Return the number of requests to the collector."""
        text = self.ask("GET", "/metrics").decode()
        return float(_PUSHES.findall(text)[-1])

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> bytes:
        """Send a request and return the body of the response."""
        request = urllib.request.Request(
            f"http://{self.address}{path}", data=body, method=method, headers=headers
        )
        with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS) as response:
            content: bytes = response.read()
            return content

    def upload(self, program: Path) -> str:
        """Upload a small program and return the binary's id."""
        boundary = uuid.uuid4().hex
        body = b"".join(form(boundary, program.name, [program.read_bytes()]))
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        binary: str = json.loads(self.ask("POST", "/upload", body, **kind))["binary"]
        return binary

    def queue(self, program: Path, **load: Any) -> str:
        """Queue a job of the program and return its id."""
        wanted = {"name": "bench", "duration": 3600, "binary": self.upload(program)} | load
        wanted = {member: value for member, value in wanted.items() if value is not None}
        kind = {"Content-Type": "application/json"}
        answer = self.ask("POST", "/queue", json.dumps(wanted).encode(), **kind)
        job_id: str = json.loads(answer)["id"]
        return job_id

    @contextmanager
    def job(self, program: Path, users: int = 0, **load: Any) -> Iterator[str]:
        """Run a job of the program and cancel it at the end; enter when calls return."""
        job_id = self.queue(program, **({"users": users} if users else {}), **load)
        try:
            self.wait(lambda: self.show(job_id)["calls"]["started"] >= max(1, users))
            yield job_id
        finally:
            self.ask("DELETE", f"/jobs/{job_id}")
            self.wait_over(job_id)

    def wait_over(self, job_id: str) -> None:
        """Wait until a job is over."""
        self.wait(lambda: self.show(job_id)["state"] in _OVER)

    def wait_delivered(self, job_id: str) -> None:
        """Wait until the collector has all results of a job."""
        self.wait(lambda: self.show(job_id)["results"]["pending"] == 0)

    def show(self, job_id: str) -> dict[str, Any]:
        """Return a job."""
        shown: dict[str, Any] = json.loads(self.ask("GET", f"/jobs/{job_id}"))
        return shown

    def moment(self, job_id: str) -> Moment:
        """Return a job's counts now."""
        job = self.show(job_id)
        calls = job["calls"]["ok"] + job["calls"]["failed"]
        results = job["results"]
        return Moment(
            time.perf_counter(), self.cpu_seconds, calls, results["read"], results["delivered"]
        )

    def wait(self, condition: Callable[[], bool], seconds: float = _PATIENCE_SECONDS) -> None:
        """Wait until a condition holds.

        Raises:
            RuntimeError: the timeout has passed, or the agent has exited.
        """
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end or self.process.poll() is not None:
                raise RuntimeError("the agent did not reach the expected state")
            time.sleep(_POLL_SECONDS)

    def measure(self, job_id: str, seconds: float, warmup_seconds: float = 0.5) -> Span:
        """Measure a job over a duration, after a warm-up."""
        time.sleep(warmup_seconds)
        begin = self.moment(job_id)
        time.sleep(seconds)
        return Span(begin, self.moment(job_id))


@dataclass(frozen=True)
class Span:
    """The time between two moments."""

    begin: Moment
    end: Moment

    def rate(self, what: str) -> float:
        """Return the number of `calls`, `read` or `delivered` per second."""
        return self._grown(what) / (self.end.time - self.begin.time)

    def cost(self, what: str) -> float:
        """Return the agent's CPU time for each of them, in microseconds."""
        return (self.end.cpu - self.begin.cpu) * 1e6 / max(1, self._grown(what))

    def _grown(self, what: str) -> float:
        grown: float = getattr(self.end, what) - getattr(self.begin, what)
        return grown


def form(boundary: str, name: str, blocks: list[bytes]) -> Iterator[bytes]:
    """Yield the multipart body of an upload."""
    yield (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    yield from blocks
    yield f"\r\n--{boundary}--\r\n".encode()


def lag_within(part: float, before: dict[float, float], after: dict[float, float]) -> float:
    """Return the bound in seconds below which a part of the lags between two moments was."""
    late = {bound: after[bound] - before[bound] for bound in after}
    return min(bound for bound, count in late.items() if count >= part * late[float("inf")])


def need_disk(directory: Path, count: int) -> None:
    """Check that a number of bytes is free.

    Raises:
        RuntimeError: less is free.
    """
    free = shutil.disk_usage(directory).free
    if free < count:
        raise RuntimeError(f"{count:,} bytes are needed, {free:,} are free: set TMPDIR")


def baseline() -> Path | None:
    """Return the Python of another version of the agent, which ``BENCH_BASELINE`` names."""
    python = os.environ.get("BENCH_BASELINE")
    return Path(python) if python else None


@contextmanager
def start(
    directory: Path, collector: str = "127.0.0.1:9", python: Path | None = None, **more: str
) -> Iterator[Agent]:
    """Run an agent with all files below a directory; enter when it is ready.

    No server listens on the default address of the collector. `more` are options such as `max_log`.

    Args:
        python: the Python of an environment with another version of the agent.
    """
    directory.mkdir(exist_ok=True)
    address = peer.free_address()
    host, _, port = address.partition(":")
    twistd = (python or Path(sys.executable)).parent / "twistd"
    command = [str(twistd), "-n", "--pidfile=", "golo-agent"]
    options = {
        "--listen": f"tcp:{port}:interface={host}",
        "--rpc": peer.free_address(),
        "--collector": collector if collector == "none" else f"http://{collector}",
        "--logs": str(directory / "logs"),
        "--state": str(directory / "state"),
        "--run-as": pwd.getpwuid(os.geteuid()).pw_name,
        **{f"--{name.replace('_', '-')}": value for name, value in more.items()},
    }
    environment = dict(os.environ)
    if python is None:
        environment["PYTHONPATH"] = str(Path(goloagent.__file__).parents[1])
    with (directory / "agent.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, *(word for pair in options.items() for word in pair)],
            cwd=directory,
            env=environment,
            stdout=log,
            stderr=log,
        )
    agent = Agent(process, address)
    try:
        agent.wait(lambda: _is_ready(agent))
        yield agent
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_ready(agent: Agent) -> bool:
    try:
        agent.ask("GET", "/health")
    except (URLError, ConnectionError):
        return False
    return True
