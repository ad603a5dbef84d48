"""The command ``golo`` as a real process."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet import defer, task
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

import goloagent

_TIMEOUT_SECONDS = 90
_POLL_SECONDS = 0.02


class Golo(ProcessProtocol):
    """One ``golo``; `ended` fires with its exit code, or with minus the signal that ended it."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.out = ""
        self.err = ""
        self.ended: defer.Deferred[int] = defer.Deferred()

    def outReceived(self, data: bytes) -> None:
        self.out += data.decode(errors="replace")

    def errReceived(self, data: bytes) -> None:
        self.err += data.decode(errors="replace")

    def processEnded(self, reason: Failure) -> None:
        error = reason.value
        self.ended.callback(-error.signal if error.signal is not None else error.exitCode)

    async def printed(self, text: str) -> None:
        """Return once `text` is in its output."""

        async def wait() -> None:
            while text not in self.out + self.err:
                assert not self.ended.called, self.out + self.err
                await task.deferLater(self._reactor, _POLL_SECONDS)

        try:
            await defer.ensureDeferred(wait()).addTimeout(_TIMEOUT_SECONDS, self._reactor)
        except defer.TimeoutError:
            raise AssertionError(f"{text!r} is not in:\n{self.out}{self.err}") from None

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.transport.signalProcess(number)

    async def exit_code(self) -> int:
        """Return its exit code once it has ended."""
        try:
            return await self.ended.addTimeout(_TIMEOUT_SECONDS, self._reactor)
        except defer.TimeoutError:
            self.transport.signalProcess(signal.SIGKILL)
            raise AssertionError(f"golo does not end:\n{self.out}{self.err}") from None


def start_golo(
    reactor: Any,
    directory: Path,
    *arguments: str | Path,
    environ: Mapping[str, str] | None = None,
    on_terminal: bool = False,
) -> Golo:
    """Start golo in a directory, where its private agents are too."""
    command = [sys.executable, "-m", "goloagent.client", *map(str, arguments)]
    return start_command(reactor, directory, *command, environ=environ, on_terminal=on_terminal)


def start_command(
    reactor: Any,
    directory: Path,
    *command: str,
    environ: Mapping[str, str] | None = None,
    on_terminal: bool = False,
) -> Golo:
    """Start a command that runs golo."""
    golo = Golo(reactor)
    # Use the same package whether it is installed or imported from a checkout.
    variables = {
        # The size of a terminal is its own, whatever the tests' runner has set.
        **{name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")},
        "PYTHONPATH": str(Path(goloagent.__file__).parents[1]),
        "TMPDIR": str(_temporary(directory)),
        **(environ or {}),
    }
    reactor.spawnProcess(
        golo, command[0], command, env=variables, path=str(directory), usePTY=on_terminal
    )
    return golo


def left_over(directory: Path) -> list[str]:
    """Return the processes and files of private agents below a directory."""
    place = _temporary(directory)
    found = [str(path) for path in place.glob("golo-*/*")]
    found += [f"{number} {command!r}" for number, command in processes_of(directory)]
    if not found:
        shutil.rmtree(place)
    return found


def processes_of(directory: Path) -> list[tuple[int, bytes]]:
    """Return the processes of golo and its private agents below a directory, and their commands."""
    place = bytes(_temporary(directory))
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            environ = (process / "environ").read_bytes()
        except OSError:
            continue
        if place in command + environ:
            found.append((int(process.name), command))
    return found


def _temporary(directory: Path) -> Path:
    """Return the temporary directory of a test, short because the path of a socket must be."""
    place = Path(tempfile.gettempdir()) / f"golo-{zlib.crc32(bytes(directory)):x}"
    place.mkdir(exist_ok=True)
    return place
