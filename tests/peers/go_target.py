"""An HTTP server in a process of its own, which a test can freeze."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from twisted.internet import task


class GoTarget:
    """The server of tests/loadtests/target, from `open` to `close`."""

    def __init__(self, reactor: Any, program: Path) -> None:
        self._reactor = reactor
        self._program = program

    def open(self) -> GoTarget:
        """Start it."""
        self._process = subprocess.Popen([self._program], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        return self

    async def freeze(self, seconds: float) -> float:
        """Respond to nothing for some seconds, then to all that came meanwhile.

        Return for how many seconds it was, which may be more on a busy machine.
        """
        self._process.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        await task.deferLater(self._reactor, seconds)
        self._process.send_signal(signal.SIGCONT)
        return time.monotonic() - begin

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
