"""Run a load test through a daemon, end to end, on this machine: ``make demo``.

A small target, a small collector and the agent are started on free ports. ``golo run`` runs a load
test on the agent for ten seconds and judges it; then the requests that the target served are
compared with the results that the collector received. With ``--keep`` (``make demo KEEP=1``)
everything stays until Ctrl-C, so that you can look at the page.
"""

from __future__ import annotations

import json
import os
import pwd
import shlex
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
from urllib.request import ProxyHandler, build_opener

HERE = Path(__file__).parent
NAME = "demo"
LOAD = ["--users", "25", "--duration", "10s", "-t", "duration: p(95)<1s", "-t", "errors: rate<1%"]
START_SECONDS, STOP_SECONDS = 20, 30

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


def ask(url: str) -> Any:
    """Return the JSON of a GET."""
    with local.open(url, timeout=10) as response:
        return json.load(response)


def run_load_test(target: str, url: str) -> int:
    """Run a load test by ``golo run`` and return its exit code."""
    words = ["run", target, "--provider", url, "--name", NAME, *LOAD]
    print(f"\n$ {shlex.join(['golo', *words])}", flush=True)
    # In this session, so that Ctrl-C ends the run in order.
    return subprocess.run([Path(sys.executable).parent / "golo", *words]).returncode


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
        print(f"target     {target}\ncollector  {collector}\nagent      {url}/ (the page)")
        code = run_load_test(target, url)
        served, received = ask(f"{target}/served"), ask(f"{collector}/summary/{NAME}")["results"]
        print(f"\nrequests served by the target      {served:>9,}")
        print(f"results received by the collector  {received:>9,}")
        if "--keep" in sys.argv:
            print(f"\nThe page is at {url}/ until you press Ctrl-C.", flush=True)
            with suppress(KeyboardInterrupt):
                signal.pause()
    if code:
        raise DemoError(f"golo run ended with exit code {code}")
    if served == 0 or served != received:
        raise DemoError("the target served another number of requests")
    print("Every request served is a delivered result.")


if __name__ == "__main__":
    try:
        main()
    except (DemoError, OSError) as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
