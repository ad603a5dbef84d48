"""Runs a command from many threads: the exit, the time and the output of each execution.

Each execution is a process group of its own, which is killed when the command has exited.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import threading
import time
from contextlib import ExitStack, suppress
from typing import NamedTuple

MAX_STDERR_BYTES = 1024
"""The first and the last bytes of stderr that are stored."""

_READ_BYTES = 1 << 16
_MAX_REST_READS = 16  # a pipe has 64 KiB, or up to 1 MiB if the command has enlarged it
_SYS_PIDFD_OPEN = 434  # on every architecture
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)  # Python ignores them, and exec keeps that


class Outcome(NamedTuple):
    """The outcome of one execution.

    Attributes:
        exit_code: minus the number of a signal if that ended the command.
        size: the bytes of stdout.
        stderr: its first bytes, and the last ones of the rest.
        killed: why the command was killed, or None.
    """

    exit_code: int
    seconds: float
    size: int
    stderr: tuple[bytes, bytes]
    killed: str | None


class Output:
    """The output of one execution so far, in constant memory."""

    def __init__(self, stdout: int, stderr: int) -> None:
        self._stderr = stderr
        self._open = [stdout, stderr]
        self.size = 0
        self.stderr = b"", b""

    def read(self, descriptor: int) -> bool:
        """Read the present content of a pipe, or wait for some; return False at its end."""
        data = os.read(descriptor, _READ_BYTES)
        if not data:
            self._open.remove(descriptor)
        elif descriptor == self._stderr:
            first, last = self.stderr
            missing = MAX_STDERR_BYTES - len(first)
            self.stderr = first + data[:missing], (last + data[missing:])[-MAX_STDERR_BYTES:]
        else:
            self.size += len(data)
        return bool(data)

    def read_rest(self) -> None:
        """Read the present content of both; a process outside of the group may hold them open."""
        for descriptor in list(self._open):
            os.set_blocking(descriptor, False)
            with suppress(BlockingIOError):
                for _ in range(_MAX_REST_READS):
                    if not self.read(descriptor):
                        break


class Command:
    """A command: the path of its program, and its arguments with the program's name.

    Args:
        timeout_seconds: after which an execution is killed.
    """

    def __init__(self, path: str, arguments: list[str], timeout_seconds: float) -> None:
        self._path = path
        self._arguments = arguments
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._running: set[int] = set()
        self._is_stopped = False

    def run(self) -> Outcome:
        """Run it once, and wait for its exit.

        Raises:
            OSError: it cannot be started.
        """
        with ExitStack() as files:
            start = time.perf_counter()
            stdout, stderr, pid = self._spawn(files)
            output, is_in_time = Output(stdout, stderr), True
            try:
                exited = pidfd_open(pid)
                files.callback(os.close, exited)
                deadline = start + self._timeout_seconds
                is_in_time = self._read(output, [stdout, stderr], exited, deadline)
                seconds = time.perf_counter() - start
            finally:
                with self._lock:
                    self._running.remove(pid)
                # The zombie is not reaped yet, so the number is still that of its group.
                kill_group(pid)
                status = os.waitpid(pid, 0)[1]
            output.read_rest()
        killed = None
        if not is_in_time:
            killed = f"killed after the timeout of {self._timeout_seconds:g} s"
        elif self._is_stopped:
            killed = "killed at the end of the load test"
        return Outcome(exit_code(status), seconds, output.size, output.stderr, killed)

    def stop(self) -> None:
        """Kill the executions that run, and start no further ones."""
        with self._lock:
            self._is_stopped = True
            for pid in self._running:
                kill_group(pid)

    def _spawn(self, files: ExitStack) -> tuple[int, int, int]:
        """Start an execution; return the reading ends of stdout and stderr, and its process ID."""
        with ExitStack() as written:
            stdout, stdout_end = _pipe(files, written)
            stderr, stderr_end = _pipe(files, written)
            with self._lock:
                if self._is_stopped:
                    raise OSError("the load test ends")
                pid = os.posix_spawn(
                    self._path,
                    self._arguments,
                    os.environ,
                    file_actions=[
                        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                        (os.POSIX_SPAWN_DUP2, stdout_end, 1),
                        (os.POSIX_SPAWN_DUP2, stderr_end, 2),
                    ],
                    setpgroup=0,
                    setsigmask=(),
                    setsigdef=_DEFAULT_SIGNALS,
                )
                self._running.add(pid)
        return stdout, stderr, pid

    @staticmethod
    def _read(output: Output, pipes: list[int], exited: int, deadline: float) -> bool:
        """Read the output until the command has exited; return False at the deadline."""
        poll = select.poll()
        for descriptor in (*pipes, exited):
            poll.register(descriptor, select.POLLIN)
        while True:
            milliseconds = (deadline - time.perf_counter()) * 1000
            if milliseconds <= 0:
                return False
            for descriptor, _ in poll.poll(milliseconds):
                if descriptor == exited:
                    return True
                if not output.read(descriptor):
                    poll.unregister(descriptor)


def _pipe(files: ExitStack, written: ExitStack) -> tuple[int, int]:
    reading, writing = os.pipe()
    files.callback(os.close, reading)
    written.callback(os.close, writing)
    return reading, writing


def pidfd_open(pid: int) -> int:
    """Return a descriptor that is readable when the process has exited.

    Raises:
        OSError: the kernel is older than Linux 5.3, or does not permit it.
    """
    if hasattr(os, "pidfd_open"):
        return os.pidfd_open(pid)
    descriptor: int = _libc.syscall(_SYS_PIDFD_OPEN, pid, 0)  # before Python 3.9
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return descriptor


_libc = ctypes.CDLL(None, use_errno=True)


def kill_group(leader: int) -> None:
    """Kill the group of a process that is not reaped."""
    # A command that has become another user cannot be killed.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def exit_code(status: int) -> int:
    """Return the exit code of a wait status, or minus the number of the signal."""
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
