"""Errors as Go's packages print them."""

from __future__ import annotations

import os


class LegacyError(Exception):
    """An error that ends golo-cli with exit code 1; the message is its line."""


def system_text(error: OSError) -> str:
    """Return the text of an error of the system, which Go writes in lower case."""
    return os.strerror(error.errno).lower() if error.errno else str(error)


def describe(error: OSError, path: str) -> str:
    """Return the text of a failure to open or to read a file."""
    operation = "read" if isinstance(error, IsADirectoryError) else "open"
    return f"{operation} {path}: {system_text(error)}"
