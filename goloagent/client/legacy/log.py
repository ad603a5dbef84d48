"""Lines of Go's package log."""

from __future__ import annotations

import sys
import time


def log(text: str) -> None:
    """Print a line with the local time to stderr, at once and in one write."""
    sys.stderr.write(f"{time.strftime('%Y/%m/%d %H:%M:%S')} {text}\n")
    sys.stderr.flush()
