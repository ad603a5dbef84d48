"""Notes of the load test ``numbered``, which are independent of its stdout."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path

import attrs


@attrs.frozen
class Notes:
    """The program `numbered` and the directory of its notes."""

    program: Path
    directory: Path

    def script(self, **flags: int | bool) -> Path:
        """Write a script to upload that runs `numbered` with these flags."""
        words = [f"-{flag}={str(value).lower()}" for flag, value in flags.items()]
        command = shlex.join([str(self.program), f"-notes={self.directory}", *words])
        path = self.directory / "loadtest"
        path.write_text(f"#!/bin/sh\nexec {command}\n", encoding="utf-8")
        return path

    def emitted(self, job_id: str) -> list[str]:
        """Return every number that a job printed or was about to print, in order."""
        last, _ = self._last_block(job_id)
        return [str(number) for number in range(1, last + 1)]

    def rate(self, job_id: str) -> float:
        """Return the lines per second that a job printed; 0 if it printed nothing."""
        last, nanoseconds = self._last_block(job_id)
        return last / nanoseconds * 1e9 if nanoseconds else 0.0

    def starts(self) -> Counter[str]:
        """Return the number of starts of the program by job."""
        path = self.directory / "starts"
        return Counter(path.read_text(encoding="ascii").split() if path.exists() else [])

    def _last_block(self, job_id: str) -> tuple[int, int]:
        path = self.directory / job_id
        if not path.exists():
            return 0, 0
        last, nanoseconds = path.read_text(encoding="ascii").splitlines()[-1].split()
        return int(last), int(nanoseconds)
