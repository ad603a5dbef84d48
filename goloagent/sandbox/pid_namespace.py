"""The program that runs a command in a PID namespace, which the kernel kills as a whole.

The agent runs it as ``python -I -S pid_namespace.py AGENT COMMAND...``, with its own process ID. It
becomes three processes: the *monitor*, a child of the agent; the *init* of the namespace, with
which the kernel kills all others in it; and the command, which has a /proc of its own.

- The monitor dies with the agent, and the init with the monitor, even by SIGKILL.
- SIGTERM to the monitor is forwarded to every process in the namespace, `KILL_ALL` as SIGKILL.
- The wait status of the command is written to `EXIT_FD` when it ends. The monitor ends with the
  last process in the namespace.

Errors before the command runs are reported like those of `launcher`. It needs the standard library
only. (bubblewrap reports a signal that ended the command as an exit code, and ends at once by
SIGTERM, without waiting for the command.)
"""

import ctypes
import json
import os
import select
import signal
import sys
from contextlib import suppress

STATUS_FD = 3
EXIT_FD = 4
KILL_ALL = signal.SIGUSR1
INIT_PID = 1  # the parent of the command, in the namespace
FAILED = 127

_CLONE_NEWNS = 0x00020000  # linux/sched.h
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWPID = 0x20000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_SLAVE = 2, 4, 8, 0x4000, 0x80000  # linux/mount.h
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_SIGNALS = {signal.SIGTERM, signal.SIGCHLD, KILL_ALL}

_libc = ctypes.CDLL(None, use_errno=True)


def wrap(agent: int, command: list[str]) -> list[str]:
    """Return the command line that runs `command`, which starts with a path, in a namespace."""
    return [sys.executable, "-I", "-S", __file__, str(agent), *command]


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _die_with_parent() -> None:
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _unshare() -> None:
    """Create a PID namespace for children and, unless root, the user namespace that it needs."""
    uid, gid = os.geteuid(), os.getegid()
    _check(_libc.unshare(_CLONE_NEWPID | _CLONE_NEWNS | (_CLONE_NEWUSER if uid else 0)))
    if uid:
        maps = {"setgroups": "deny", "uid_map": f"{uid} {uid} 1", "gid_map": f"{gid} {gid} 1"}
        for name, text in maps.items():
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123
                file.write(text)
    # Mounts do not propagate out of it.
    _check(_libc.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None))


def run_monitor(agent: int, command: list[str]) -> None:
    """Run the command in a namespace; exit with the namespace."""
    os.set_inheritable(STATUS_FD, True)
    os.set_inheritable(EXIT_FD, False)
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, _SIGNALS)
    _die_with_parent()
    if os.getppid() != agent:
        os._exit(FAILED)
    _unshare()
    # Readable, with EOF, when the monitor has ended.
    monitor_read, monitor_write = os.pipe()
    init = os.fork()
    if init == 0:
        os.close(monitor_write)
        _die_with_parent()
        if select.select([monitor_read], [], [], 0)[0]:
            os._exit(FAILED)
        _check(_libc.mount(b"proc", b"/proc", b"proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None))
        _run_init(command)
    _close(0, 1, 2, STATUS_FD, EXIT_FD)
    while True:
        number = signal.sigwait(_SIGNALS)
        if number == signal.SIGCHLD:
            _, status = os.waitpid(init, 0)
            _exit_like(status)
        # The init is not reaped yet, so the number is still its own.
        os.kill(init, signal.SIGTERM if number == signal.SIGTERM else signal.SIGKILL)


def _exit_like(status: int) -> None:
    """Exit as the init did: by SIGKILL, or with its code."""
    if os.WIFSIGNALED(status):
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(os.waitstatus_to_exitcode(status))


def _run_init(command: list[str]) -> None:
    """Start the command, forward SIGTERM, reap; exit with the last process."""
    child = os.fork()
    if child == 0:
        os.execv(command[0], command)
    _close(0, 1, 2, STATUS_FD)
    while True:
        if signal.sigwait(_SIGNALS) == signal.SIGTERM:
            # The last process may just have ended; SIGCHLD follows.
            with suppress(ProcessLookupError):
                os.kill(-1, signal.SIGTERM)
            continue
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                os._exit(0)
            if pid == 0:
                break
            if pid == child:
                os.write(EXIT_FD, b"%d" % status)
                os.close(EXIT_FD)
                child = -1  # its number may be reused


def main(agent: str, *command: str) -> None:
    """Run the command, or report the error on `STATUS_FD`."""
    try:
        run_monitor(int(agent), [*command])
    except OSError as error:
        report = {"step": "make a PID namespace", "errno": error.errno, "error": error.strerror}
        os.write(STATUS_FD, json.dumps(report).encode())
    os._exit(FAILED)


if __name__ == "__main__":
    main(*sys.argv[1:])
