"""The error of a failed start, and the operating system's text of other errors."""

from __future__ import annotations

import errno
import os

from twisted.internet.error import CannotListenError


class StartupError(Exception):
    """The agent cannot start; the message is one line that names the option to change."""


def reason(error: Exception) -> str:
    """Return the operating system's text for an error, if it has one."""
    if isinstance(error, CannotListenError):
        error = error.socketError
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def unusable(option: str, path: object, error: OSError) -> StartupError:
    """Return the error for the path of an option that cannot be read or written."""
    if error.errno in (errno.EACCES, errno.EPERM):
        uid = os.geteuid()
        return StartupError(
            f"{option} {path}: {reason(error)} for uid {uid}; give it to that user"
            f" (chown {uid} {path}) or choose another by {option}"
        )
    if error.errno == errno.EEXIST:
        return StartupError(
            f"{option} {path}: it is not a directory; move it away or choose another by {option}"
        )
    return StartupError(f"{option} {path}: {reason(error)}")
