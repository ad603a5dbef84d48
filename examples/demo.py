"""Run a real load test through golo-agent, end to end, on this machine: ``make demo``.

A small target, a small collector and the agent are started on free ports and ``http_get.py`` runs
for ten seconds; then what the target served is compared with what the collector received.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

HERE = Path(__file__).parent
NAME, USERS, SECONDS = "demo", 25, 10
START_SECONDS, STOP_SECONDS, END_SECONDS = 20, 30, 60
OVER = {"finished", "failed", "cancelled", "interrupted"}

console = Console()
local = build_opener(ProxyHandler({}))  # ignore proxies for local addresses


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


@contextmanager
def running(*command: str | Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a program, and stop it when the block ends."""
    # A new session, so that Ctrl-C reaches the demo only, which then stops its programs in order.
    program = subprocess.Popen([*map(str, command)], text=True, start_new_session=True, **options)
    try:
        yield program
    finally:
        program.terminate()
        try:
            with suppress(subprocess.TimeoutExpired):
                program.wait(STOP_SECONDS)
        finally:
            program.kill()  # does nothing when it has ended
            program.wait()


@contextmanager
def serving(script: str, *options: str | Path) -> Iterator[str]:
    """Run an example server on a free port and yield its URL, which it prints first."""
    command = [sys.executable, HERE / script, "0", *options]
    with running(*command, stdout=subprocess.PIPE) as program:
        url = program.stdout.readline().strip()
        if not url:
            raise DemoError(f"{script} did not start")
        yield url


@contextmanager
def agent(directory: Path, collector: str) -> Iterator[str]:
    """Run an agent with all files below `directory` and yield its URL once it is ready."""
    port, rpc_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    options = {
        "--listen": f"tcp:{port}:interface=127.0.0.1",
        "--rpc": f"127.0.0.1:{rpc_port}",
        "--collector": collector,
        "--logs": directory / "logs",
        "--state": directory / "state",
        # The default for root is `nobody`, who may lack access to this Python.
        "--run-as": pwd.getpwuid(os.geteuid()).pw_name,
    }
    words = [word for option in options.items() for word in option]
    command = [Path(sys.executable).parent / "twistd", "-n", "--pidfile=", "golo-agent", *words]
    log = directory / "agent.log"
    log_to = {"stdout": log.open("w"), "stderr": subprocess.STDOUT}
    with log_to["stdout"], running(*command, cwd=directory, **log_to) as program:
        deadline = time.monotonic() + START_SECONDS
        while not ready(url):
            if program.poll() is not None or time.monotonic() > deadline:
                raise DemoError(f"the agent did not start:\n{log.read_text()}")
            time.sleep(0.1)
        yield url


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as trial:
        return trial.getsockname()[1]


def ready(url: str) -> bool:
    """Return whether the agent at `url` accepts jobs."""
    with suppress(OSError):
        return ask(f"{url}/health")["status"] == "ready"
    return False


def ask(url: str, body: bytes | None = None, media_type: str = "application/json") -> Any:
    """GET, or POST with a body, and return the response's JSON."""
    with local.open(Request(url, body, {"Content-Type": media_type}), timeout=10) as response:
        return json.load(response)


def load_test(target: str) -> bytes:
    """Return the example load test, aimed at `target` and run by this Python."""
    text = (HERE / "http_get.py").read_text(encoding="utf-8")
    text = re.sub(r"\A#!.*", f"#!{sys.executable}", text)
    text, replaced = re.subn(r'^URL = ".*"', f'URL = "{target}/"', text, flags=re.MULTILINE)
    if replaced != 1:
        raise DemoError("http_get.py does not have its URL on one line")
    return text.encode()


def upload(url: str, program: bytes) -> str:
    """Upload a load test as golo-cli does; return the binary's id."""
    edge = "golo-agent-demo"
    head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    body = head.encode() + program + f"\r\n--{edge}--\r\n".encode()
    return ask(f"{url}/upload", body, f"multipart/form-data; boundary={edge}")["binary"]


def watch(url: str) -> dict[str, Any]:
    """Show the progress of the job at `url` until all its results are delivered; return it."""
    columns = (
        TextColumn("{task.fields[state]:>9}"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[calls]:,} calls, {task.fields[delivered]:,} results delivered"),
    )
    begin, deadline = None, time.monotonic() + SECONDS + END_SECONDS
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=SECONDS, state="queued", calls=0, delivered=0)
        while True:
            job = ask(url)
            now = time.monotonic()
            if begin is None and job["state"] == "running":
                begin = now
            done = {"calls": job["calls"]["started"], "delivered": job["results"]["delivered"]}
            elapsed = 0 if begin is None else min(now - begin, SECONDS)
            progress.update(bar, completed=elapsed, state=job["state"], **done)
            if job["state"] in OVER and job["results"]["pending"] == 0:
                return job
            if now > deadline:
                raise DemoError(f"the job does not end: {job}")
            time.sleep(0.2)


def report(job: dict[str, Any], served: int, received: dict[str, Any]) -> None:
    """Print a table of the run."""
    table = Table(title=f"{USERS} users, {SECONDS} seconds", show_header=False)
    table.add_row("requests served by the target", f"{served:,}")
    table.add_row("results delivered", f"{received['results']:,}")
    table.add_row("calls/s", f"{job['calls']['started'] / SECONDS:,.0f}")
    table.add_row("errors", f"{received['errors'] + job['calls']['failed']:,}")
    for name in ("p50", "p95", "p99"):
        latency = received[name]
        table.add_row(f"latency {name}", "none" if latency is None else f"{latency:.2f} ms")
    console.print(table)


def main() -> None:
    """Run the demo."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="golo-agent-")))
        target = stack.enter_context(serving("target.py"))
        collector = stack.enter_context(
            serving("collector.py", "--directory", directory / "results")
        )
        url = stack.enter_context(agent(directory, collector))
        console.print(f"target {target}\ncollector {collector}\nagent {url}")
        wanted = {"name": NAME, "users": USERS, "duration": SECONDS}
        wanted["binary"] = upload(url, load_test(target))
        job_id = ask(f"{url}/queue", json.dumps(wanted).encode())["id"]
        job = watch(f"{url}/jobs/{job_id}")
        served, received = ask(f"{target}/served"), ask(f"{collector}/summary/{NAME}")
    report(job, served, received)
    if job["state"] != "finished":
        raise DemoError(f"the job {job['state']}: {job['message']}")
    if served == 0 or served != received["results"]:
        raise DemoError("what was served is not what was delivered")
    console.print("[green]Every request served is a delivered result.")


if __name__ == "__main__":
    try:
        main()
    except (DemoError, OSError) as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
