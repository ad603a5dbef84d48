"""The process that keeps a private agent: ``python -m goloagent.client.private_agent.keeper DIR``.

It starts the agent and ends it when no client has held the client's lock for `LEASE_SECONDS`, as
after a kill -9 of the client, or at SIGTERM; then it removes the directory. It imports little, so
that it starts fast. If it is killed itself, the kernel sends SIGTERM to the agent, and the next run
removes the directory.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

from goloagent.client.private_agent.directory import CLIENT_LOCK, lock_keeper, try_lock

LEASE_SECONDS = 10.0
POLL_SECONDS = 0.5
STOP_SECONDS = 30.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def keep(directory: Path, command: list[str]) -> int:
    """Run the agent until it is not needed; return its exit code."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped.set())
    with lock_keeper(directory), (directory / CLIENT_LOCK).open("rb") as client:
        agent = subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,  # the log
            preexec_fn=_end_with_parent,
        )
        print(agent.pid, flush=True)
        try:
            _wait(agent, client.fileno(), stopped)
        finally:
            code = _end(agent)
            shutil.rmtree(directory, ignore_errors=True)
    return code


def _wait(agent: subprocess.Popen[bytes], client: int, stopped: threading.Event) -> None:
    """Wait until a signal, the end of the agent, or of the lease."""
    without = 0.0
    while not stopped.wait(POLL_SECONDS):
        if try_lock(client, fcntl.LOCK_EX):
            fcntl.flock(client, fcntl.LOCK_UN)
            without += POLL_SECONDS
        else:
            without = 0.0
        # Of an agent that has ended, the client may still read the log.
        if without >= LEASE_SECONDS or (without and agent.poll() is not None):
            return


def _end(agent: subprocess.Popen[bytes]) -> int:
    agent.terminate()
    try:
        return agent.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        agent.kill()
        return agent.wait()


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(keep(Path(sys.argv[1]), sys.argv[2:]))
