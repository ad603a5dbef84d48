"""The load test of ``golo run --exec``: each journey runs a command once, without a shell.

A result has the method ``EXEC``, the command line as its URL, the bytes of stdout as its size, and
the time from the start to the exit. Its status is 200 if the command exits with 0, else the exit
code; 128 and the number if a signal ended it; 0 if it was not started or was killed by the load
test.
"""

from __future__ import annotations

import argparse
import errno
import os
import shlex
import shutil
import signal
import threading
import time
from typing import NoReturn

from goloagent import sdk
from goloagent.loadtests.execution import Command, Outcome, pidfd_open

METHOD = "EXEC"
SUCCESS = 200
MAX_URL_CHARS = 500
MAX_LINE_CHARS = 140
_DEFAULT_TIMEOUT_SECONDS = 60.0
_CANNOT_RUN = 126  # the shell's exit codes
_NOT_FOUND = 127
_SIGNALLED = 128
# No execution of this run would start.
_LASTING_ERRORS = {errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.E2BIG, errno.ENOTDIR}
_LAST_RESULTS_SECONDS = 2.0
_ends = threading.Lock()


class Journeys:
    """The journeys, each of which runs the command and reports it."""

    def __init__(self, command: Command, url: str) -> None:
        self._command = command
        self._url = url
        self._running = 0
        self._changed = threading.Condition()

    def run(self) -> None:
        """Run one; a lasting error ends the load test."""
        with self._changed:
            self._running += 1
        try:
            self._run()
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def stop(self) -> None:
        """Kill the commands that run, and wait until they are reported."""
        self._command.stop()
        with self._changed:
            self._changed.wait_for(lambda: not self._running, _LAST_RESULTS_SECONDS)

    def _run(self) -> None:
        start = time.perf_counter()
        try:
            outcome = self._command.run()
        except OSError as error:
            if error.errno in _LASTING_ERRORS:
                end(_CANNOT_RUN, f"cannot run {self._url}: {error.strerror}")
            seconds, size, status = time.perf_counter() - start, -1, 0
            text: str | None = f"not started: {error}"
        else:
            seconds, size = outcome.seconds, outcome.size
            status, text = judge(outcome)
        sdk.report(
            method=METHOD,
            url=self._url,
            status=status,
            size=size,
            duration_seconds=seconds,
            error=text,
        )


def judge(outcome: Outcome) -> tuple[int, str | None]:
    """Return the status of an execution, and its error."""
    code = outcome.exit_code
    if outcome.killed is not None:
        status, text = 0, outcome.killed
    elif code == 0:
        return SUCCESS, None
    elif code < 0:
        status, text = _SIGNALLED - code, f"killed by signal {-code} ({signal_name(-code)})"
    else:
        status, text = code, f"exit code {code}"
    return status, ": ".join([text, *ends(*outcome.stderr)])


def ends(first: bytes, last: bytes) -> list[str]:
    """Return the first and the last line of stderr as one text, or nothing if it is empty."""
    lines = (first + last).decode(errors="replace").split("\n")
    lines = [line.strip()[:MAX_LINE_CHARS] for line in lines if line.strip()]
    if len(lines) < 2:
        return lines
    return [f"{lines[0]} … {lines[-1]}"]


def signal_name(number: int) -> str:
    """Return the name of a signal, or its number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def shorten(url: str) -> str:
    """Cut a command line."""
    return url if len(url) <= MAX_URL_CHARS else url[: MAX_URL_CHARS - 1] + "…"


def end(code: int, sentence: str) -> NoReturn:
    """End the load test, from any thread, with the first such sentence on stderr."""
    _ends.acquire()  # for good
    os.write(2, f"{sentence}\n".encode(errors="replace"))
    os._exit(code)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the arguments, of which those from the command on are its own."""
    parser = argparse.ArgumentParser(
        prog="command", description="Run COMMAND once for each iteration, without a shell."
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=_DEFAULT_TIMEOUT_SECONDS,
        metavar="SECONDS",
        help="kill a command after this time (default: %(default)g)",
    )
    parser.add_argument("--directory", help="run the command in this directory")
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND", help="and its arguments"
    )
    options = parser.parse_args(arguments)
    if options.command[:1] == ["--"]:
        del options.command[0]
    if not options.command:
        parser.error("COMMAND is missing: write it behind the options")
    if not 0 < options.timeout < float("inf"):
        parser.error(f"--timeout {options.timeout:g}: must be over 0 seconds")
    return options


def main() -> None:
    """Serve until SIGTERM."""
    options = parse()
    name = options.command[0]
    if options.directory is not None:
        try:
            os.chdir(options.directory)
        except OSError as error:
            end(_CANNOT_RUN, f"cannot enter --directory {options.directory}: {error.strerror}")
    path = shutil.which(name)
    if path is None:
        hint = "install it on the agent's host, or give its path"
        end(_NOT_FOUND, f"command not found: {name}; {hint}")
    try:
        os.close(pidfd_open(os.getpid()))
    except OSError as error:
        end(_CANNOT_RUN, f"commands cannot be run: pidfd_open needs Linux 5.3: {error.strerror}")
    journeys = Journeys(
        Command(path, options.command, options.timeout), shorten(shlex.join(options.command))
    )
    sdk.serve(journeys.run)
    journeys.stop()
