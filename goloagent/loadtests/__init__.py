"""Load tests that need no program of the user's: `command` runs a command, `http_get` a request.

`source` returns one of them as a file to upload. They run on Python 3.8 or later with the standard
library and the SDK, which are in the file.
"""

from __future__ import annotations

NAMES = ("command", "http_get")


def source(name: str, interpreter: str = "/usr/bin/env python3") -> bytes:
    """Return a load test as one executable file, the same bytes for the same version.

    Args:
        name: one of `NAMES`.
        interpreter: the Python that runs it on the agent's host, with up to one argument.

    Raises:
        ValueError: there is no load test of this name.
    """
    # Not at the top: in the file, this package is without it.
    from goloagent.loadtests import bundle

    if name not in NAMES:
        raise ValueError(f"no bundled load test {name!r}: use one of {', '.join(NAMES)}")
    return bundle.executable(name, interpreter)
