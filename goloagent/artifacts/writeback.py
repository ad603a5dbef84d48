"""Has the disk begin with what was written, while more is being written.

A file is otherwise left in memory until it is synced, and then everything waits for the disk.
Python has no call for it: `posix_fadvise` with DONTNEED begins too, but has every processor give up
what it holds; `fdatasync` waits.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

_SYNC_FILE_RANGE_WRITE = 2


def _find() -> Callable[..., int] | None:
    try:
        function = ctypes.CDLL(None).sync_file_range
    except (OSError, AttributeError):  # a C library without it
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return function


_sync_file_range = _find()


def begin_writeback(descriptor: int, offset: int, count: int) -> None:
    """Have the disk begin with `count` bytes from `offset`, and wait for nothing.

    Promises nothing and tells no error, nor takes it away: the sync that follows does.
    """
    if _sync_file_range is not None:
        _sync_file_range(descriptor, offset, count, _SYNC_FILE_RANGE_WRITE)
