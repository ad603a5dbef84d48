"""Starts a private agent and ends it: no port, no collector, nothing left behind."""

from __future__ import annotations

import fcntl
import os
import pwd
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import goloagent
from goloagent.client.agents.address import AgentAddress
from goloagent.client.errors import ClientError
from goloagent.client.exit_codes import ExitCode
from goloagent.client.private_agent.directory import (
    CLIENT_LOCK,
    KEEPER_LOCK,
    LOG,
    SOCKET,
    DirectoryError,
    all_directories,
    base_directory,
    make_directory,
    remove_if_left,
    try_lock,
)
from goloagent.report.model import PRIVATE_AGENT

NAME = PRIVATE_AGENT
_PACKAGES = Path(goloagent.__file__).parents[1]
_KEEPER = "goloagent.client.private_agent.keeper"
_STOP_SECONDS = 40.0


class PrivateAgent:
    """A private agent in a directory; as a context manager it is ended at the exit."""

    def __init__(
        self,
        directory: Path,
        keeper: subprocess.Popen[bytes],
        lock: BinaryIO,
        process: int | None,
    ) -> None:
        self._directory = directory
        self._keeper = keeper
        self._lock = lock  # held as long as it is open
        self._process = process

    @classmethod
    def start(cls, environ: Mapping[str, str], outputs: Sequence[str] = ()) -> PrivateAgent:
        """Start one; it is ready when its ``/health`` says so.

        Args:
            outputs: each as NAME=URL.

        Raises:
            ClientError: it cannot be started.
        """
        try:
            directory = make_directory()
            lock = (directory / CLIENT_LOCK).open("w+b")
            fcntl.flock(lock, fcntl.LOCK_SH)
            with (directory / LOG).open("wb") as log:
                keeper = subprocess.Popen(
                    [sys.executable, "-m", _KEEPER, str(directory), *_command(directory, outputs)],
                    env=_environment(environ),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,  # a pipe of the client's would stay open after its end
                    start_new_session=True,  # Ctrl-C is for the client
                )
        except (DirectoryError, OSError) as error:
            raise ClientError(f"no private agent: {error}", ExitCode.NOT_READY) from None
        assert keeper.stdout is not None
        with keeper.stdout:
            agent = keeper.stdout.readline()  # it holds its lock now
        return cls(directory, keeper, lock, _process(agent))

    @property
    def address(self) -> AgentAddress:
        """Its address."""
        return AgentAddress(socket=str(self._directory / SOCKET))

    def has_failed(self) -> bool:
        """Return whether its process has ended."""
        return self._process is None or _has_ended(self._process)

    def last_line(self) -> str:
        """Return the last line of its log, which says why it has not started."""
        try:
            lines = (self._directory / LOG).read_text(errors="replace").strip().splitlines()
        except OSError:
            return "it has ended"
        return lines[-1].partition("] ")[2] or lines[-1] if lines else "it has not started"

    def stop(self) -> None:
        """End it and wait until nothing of it is left; a second time does nothing."""
        if self._keeper.poll() is None:
            self._keeper.send_signal(signal.SIGTERM)
        self._lock.close()
        self._keeper.wait()
        if self._process is None:
            return
        # If the keeper was killed, the kernel has sent SIGTERM to the agent.
        if not _has_ended(self._process, _STOP_SECONDS):
            signal.pidfd_send_signal(self._process, signal.SIGKILL)
            _has_ended(self._process, _STOP_SECONDS)
        os.close(self._process)
        self._process = None
        remove_if_left(self._directory)

    def __enter__(self) -> PrivateAgent:
        """Return it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()


def _process(number: bytes) -> int | None:
    """Return a descriptor of a process, or None if there is none."""
    try:
        return os.pidfd_open(int(number))
    except (ValueError, OSError):
        return None


def _has_ended(process: int, within_seconds: float = 0.0) -> bool:
    readable, _, _ = select.select([process], [], [], within_seconds)
    return bool(readable)


def running_agents() -> list[tuple[AgentAddress, BinaryIO]]:
    """Return the private agents of the user that run, each with a lock that keeps it running."""
    found: list[tuple[AgentAddress, BinaryIO]] = []
    try:
        places = list(all_directories(base_directory()))
    except (DirectoryError, OSError):
        return []  # none can run there
    for place in places:
        try:
            with (place / KEEPER_LOCK).open("rb") as keeper:
                if try_lock(keeper.fileno(), fcntl.LOCK_SH):
                    continue  # left over
            lock = (place / CLIENT_LOCK).open("rb")
            fcntl.flock(lock, fcntl.LOCK_SH)
        except OSError:
            continue
        found.append((AgentAddress(socket=str(place / SOCKET)), lock))
    return found


def _command(directory: Path, outputs: Sequence[str]) -> list[str]:
    options = {
        "--listen": f"unix:{directory / SOCKET}:mode=600",
        "--rpc": f"127.0.0.1:{_free_port()}",
        "--collector": "none",
        "--logs": str(directory / "logs"),
        "--state": str(directory / "state"),
        # The default for root is `nobody`, who may lack access to this Python.
        "--run-as": pwd.getpwuid(os.geteuid()).pw_name,
    }
    words = [word for pair in options.items() for word in pair]
    words += [word for output in outputs for word in ("--output", output)]
    return [sys.executable, "-m", "goloagent", *words]


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the agent: load tests find this Python first as ``python3``."""
    path = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)])
    # The package may be on the path of this process only.
    packages = os.pathsep.join(filter(None, [str(_PACKAGES), environ.get("PYTHONPATH")]))
    return {**environ, "PATH": path, "PYTHONPATH": packages}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as trial:
        port: int = trial.getsockname()[1]
        return port
