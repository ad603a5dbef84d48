"""A small program that runs a command in a PID namespace: nothing the command starts outlives it.

Run by the agent as ``python -I -S namespace.py AGENT COMMAND…`` with AGENT its own process id. It
is three processes: the *keeper* outside, a child of the agent; the *init* of the namespace, whose
end is, by the kernel, the end of every process in it; and the command, which sees a /proc of its
own and is otherwise as it would be outside. Imports nothing of the agent.

- The keeper ends with the agent, and the init with the keeper, even by SIGKILL.
- SIGTERM to the keeper is SIGTERM to every process in the namespace, `END_ALL` is SIGKILL.
- The wait status of the command is on descriptor `EXIT_FD` as soon as it has ended. The keeper ends
  when nothing is left in the namespace.

What goes wrong before the command runs is told as `launcher` tells it. (bubblewrap would do, but
for two things: it turns a signal that ended the command into an exit code, and it ends at once by
a SIGTERM that the command was to end in order by.)
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
END_ALL = signal.SIGUSR1
INIT_PID = 1  # as the command sees its parent
FAILED = 127

_CLONE_NEWNS = 0x00020000  # linux/sched.h
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWPID = 0x20000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_SLAVE = 2, 4, 8, 0x4000, 0x80000  # linux/mount.h
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_HEARD = {signal.SIGTERM, signal.SIGCHLD, END_ALL}

_libc = ctypes.CDLL(None, use_errno=True)


def wrap(agent: int, command: list[str]) -> list[str]:
    """Return the command line that runs `command`, whose executable is a path, in a namespace."""
    return [sys.executable, "-I", "-S", __file__, str(agent), *command]


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _end_with_parent() -> None:
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _unshare() -> None:
    """Have children begin a namespace; who is not root needs a namespace of users for that."""
    uid, gid = os.geteuid(), os.getegid()
    _check(_libc.unshare(_CLONE_NEWPID | _CLONE_NEWNS | (_CLONE_NEWUSER if uid else 0)))
    if uid:
        maps = {"setgroups": "deny", "uid_map": f"{uid} {uid} 1", "gid_map": f"{gid} {gid} 1"}
        for name, text in maps.items():
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123
                file.write(text)
    # What is mounted here stays here.
    _check(_libc.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None))


def run_monitor(agent: int, command: list[str]) -> None:
    """Run the command in a namespace; returns only by ending the process."""
    os.set_inheritable(STATUS_FD, True)
    os.set_inheritable(EXIT_FD, False)
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, _HEARD)
    _end_with_parent()
    if os.getppid() != agent:
        os._exit(FAILED)
    _unshare()
    # Readable, by its end, when the keeper is gone.
    keeper_gone, keeper_here = os.pipe()
    init = os.fork()
    if init == 0:
        os.close(keeper_here)
        _end_with_parent()
        if select.select([keeper_gone], [], [], 0)[0]:
            os._exit(FAILED)
        _check(_libc.mount(b"proc", b"/proc", b"proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None))
        _be_init(command)
    _close(0, 1, 2, STATUS_FD, EXIT_FD)
    while True:
        number = signal.sigwait(_HEARD)
        if number == signal.SIGCHLD:
            _, status = os.waitpid(init, 0)
            _end_like(status)
        # Not reaped yet, so it is the init that is signalled.
        os.kill(init, signal.SIGTERM if number == signal.SIGTERM else signal.SIGKILL)


def _end_like(status: int) -> None:
    """End as the init did: by SIGKILL, or with its code."""
    if os.WIFSIGNALED(status):
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(os.waitstatus_to_exitcode(status))


def _be_init(command: list[str]) -> None:
    """Start the command, pass SIGTERM on, reap; end when no process is left."""
    child = os.fork()
    if child == 0:
        os.execv(command[0], command)
    _close(0, 1, 2, STATUS_FD)
    while True:
        if signal.sigwait(_HEARD) == signal.SIGTERM:
            # The last one may just have ended; SIGCHLD is then under way.
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
                child = -1  # its number may come again


def main(agent: str, *command: str) -> None:
    """Run the command, or say on `STATUS_FD` why not."""
    try:
        run_monitor(int(agent), [*command])
    except OSError as error:
        report = {"step": "make a PID namespace", "errno": error.errno, "error": error.strerror}
        os.write(STATUS_FD, json.dumps(report).encode())
    os._exit(FAILED)


if __name__ == "__main__":
    main(*sys.argv[1:])
