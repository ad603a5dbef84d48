"""Peeks at the content of a pipe with `tee(2)`, which Python does not offer."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Any

_SPLICE_F_NONBLOCK = 2


class PipePeek:
    """Copies what a pipe holds and leaves it there.

    Raises:
        OSError: the system does not offer it, or no more pipes.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._source, self._sink = os.pipe()
        try:
            self.peek(1)
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            raise

    def peek(self, max_bytes: int) -> bytes:
        """Return what the pipe holds next, at most 64 KiB; nothing at its end.

        Raises:
            BlockingIOError: the pipe is empty.
            OSError: it cannot be read.
        """
        count: int = _tee()(self._descriptor, self._sink, max_bytes, _SPLICE_F_NONBLOCK)
        if count < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return os.read(self._source, count) if count else b""

    def close(self) -> None:
        """Close the copy."""
        for descriptor in (self._source, self._sink):
            os.close(descriptor)


@cache
def _tee() -> Any:
    """Return the function of the C library.

    Raises:
        OSError: it has none.
    """
    try:
        tee = ctypes.CDLL(None, use_errno=True).tee
    except AttributeError as error:
        raise OSError("the C library has no tee()") from error
    tee.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_uint)
    tee.restype = ctypes.c_ssize_t
    return tee
