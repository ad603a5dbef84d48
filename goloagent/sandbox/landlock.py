"""Landlock: by it a process, and all that it starts, gives up what it has not granted to itself.

The kernel's own calls (landlock(7)), as the C library has none. Uses as much as the kernel has:
each of its versions, or ABIs, can keep back more. Knows paths and rights; does not know whose.
Imports nothing of the agent.
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
# By ABI; orders to devices (ABI 5) stay as they are, since no device is the agent's.
_RIGHTS = {1: _REFER - 1, 2: _TRUNCATE - 1, 3: ALL}
_SIGNALS_AND_ABSTRACT_SOCKETS = 0b11

_libc = ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def abi() -> int:
    """Return the kernel's version of Landlock.

    Raises:
        OSError: it has none, or does not allow it.
    """
    return _call(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))


def rights(version: int) -> int:
    """Return which rights a version of Landlock can keep back."""
    return max(mask for since, mask in _RIGHTS.items() if since <= version)


def scopes(version: int) -> int:
    """Return out of which reach a version of Landlock can keep what is outside."""
    return _SIGNALS_AND_ABSTRACT_SOCKETS if version >= 6 else 0


class Ruleset:
    """What a process will still be allowed: nothing with files, until it is granted.

    Raises:
        OSError: the kernel has no Landlock, or does not allow it.
    """

    def __init__(self) -> None:
        version = abi()
        self._handled = rights(version)
        # An older kernel takes what it does not know as long as it is 0.
        attributes = struct.pack("=QQQ", self._handled, 0, scopes(version))
        self._descriptor = _call(
            CREATE_RULESET,
            attributes,
            ctypes.c_size_t(len(attributes)),
            ctypes.c_uint32(0),
        )

    def grant(self, path: str, rights: int = ALL) -> None:
        """Grant rights to a file, or to a directory and all below it; not to where a link leads.

        Raises:
            OSError: it is not there, or may not be looked at.
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
        """Give up the rest, for good; needs ``no_new_privs``, or to be root.

        Raises:
            OSError: it is not allowed.
        """
        _call(_RESTRICT_SELF, ctypes.c_int(self._descriptor), ctypes.c_uint32(0))
        os.close(self._descriptor)
