"""Run a command for which Landlock's system calls fail: ``no_landlock.py ERRNO COMMAND...``."""

from __future__ import annotations

import ctypes
import os
import struct
import sys

from goloagent.sandbox import landlock

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2  # linux/prctl.h, linux/seccomp.h
_REFUSE, _ALLOW = 0x00050000, 0x7FFF0000
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h


def command(errno: int) -> tuple[str, ...]:
    """Return the command prefix."""
    return (sys.executable, __file__, str(errno))


def forbid(errno: int) -> None:
    """Make `landlock_create_ruleset` fail from now on."""
    steps = (
        (_LOAD, 0, 0, 0),  # the number of the system call
        (_IF_EQUAL, 0, 1, landlock.CREATE_RULESET),
        (_RETURN, 0, 0, _REFUSE | errno),
        (_RETURN, 0, 0, _ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HP", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for option in ((_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_PR_SET_SECCOMP, _FILTER, program, 0, 0)):
        if libc.prctl(*option) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    forbid(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
