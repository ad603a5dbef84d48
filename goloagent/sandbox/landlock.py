"""Landlock (landlock(7)): a process denies itself, and all that it starts, access to files.

The C library has no functions for it, so these are the system calls. Each version of the kernel's
Landlock (ABI) restricts more; all that it has is used. The launcher imports this module: it needs
the standard library only.
"""

import ctypes
import os
import stat
import struct

CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # on every architecture
_VERSION = 1  # linux/landlock.h, from here on
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER = 1 << 13
_TRUNCATE = 1 << 14
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
READ = _READ_FILE | _READ_DIR
ALL = (1 << 15) - 1
# By ABI; device ioctls (ABI 5) are not restricted, because the agent has no devices.
_RIGHTS = {1: _REFER - 1, 2: _TRUNCATE - 1, 3: ALL}
_SIGNALS_AND_ABSTRACT_SOCKETS = 0b11

_libc = ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def abi() -> int:
    """Return the version of the kernel's Landlock.

    Raises:
        OSError: the kernel has no Landlock, or does not allow it.
    """
    return _call(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))


def rights(version: int) -> int:
    """Return the bits of the file rights that a version can restrict."""
    return max(mask for since, mask in _RIGHTS.items() if since <= version)


def scopes(version: int) -> int:
    """Return the bits of the scopes (signals, abstract sockets) that a version can restrict."""
    return _SIGNALS_AND_ABSTRACT_SOCKETS if version >= 6 else 0


class Ruleset:
    """The access that a process will have: none to files, until it is granted.

    Raises:
        OSError: the kernel has no Landlock, or does not allow it.
    """

    def __init__(self) -> None:
        version = abi()
        self._handled = rights(version)
        # An older kernel accepts members that it does not know if they are 0.
        attributes = struct.pack("=QQQ", self._handled, 0, scopes(version))
        self._descriptor = _call(
            CREATE_RULESET,
            attributes,
            ctypes.c_size_t(len(attributes)),
            ctypes.c_uint32(0),
        )

    def grant(self, path: str, rights: int = ALL) -> None:
        """Grant rights to a file, or to a directory and all below it, without following links.

        Raises:
            OSError: it does not exist, or may not be opened.
        """
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                rights &= _OF_FILES
            rule = struct.pack("=Qi", rights & self._handled, descriptor)
            _call(
                _ADD_RULE,
                ctypes.c_int(self._descriptor),
                ctypes.c_int(_PATH_BENEATH),
                rule,
                ctypes.c_uint32(0),
            )
        finally:
            os.close(descriptor)

    def enforce(self) -> None:
        """Deny everything else, irrevocably; needs ``no_new_privs``, or root.

        Raises:
            OSError: the system does not allow it.
        """
        _call(_RESTRICT_SELF, ctypes.c_int(self._descriptor), ctypes.c_uint32(0))
        os.close(self._descriptor)
