"""Which bytes a request wants: the Range header of RFC 9110, section 14.

Pure. Serves one range; where several are asked for, as where the header cannot be understood, the
whole is the answer, which the standard allows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

# Longer numbers than any file needs, yet none that takes time to read.
_ONE_RANGE = re.compile(r"(?i:bytes)=[ \t]*([0-9]{0,99})-([0-9]{0,99})[ \t]*")


class Unsatisfiable(Exception):
    """None of the bytes asked for is there."""


@attrs.frozen
class ByteRange:
    """The bytes from `start` up to `end`, which is not one of them."""

    start: int
    end: int

    @property
    def count(self) -> int:
        """How many bytes these are."""
        return self.end - self.start


def wanted(header: Sequence[str], size: int) -> ByteRange | None:
    """Return what the values of a Range header want of `size` bytes; None is the whole.

    Raises:
        Unsatisfiable: it wants bytes that are not there.
    """
    match = _ONE_RANGE.fullmatch(header[0]) if len(header) == 1 else None
    if match is None:
        return None
    first, last = match.groups()
    if first:
        start = int(first)
        end = int(last) + 1 if last else max(size, start + 1)
        if end <= start:
            return None
    elif last:
        start, end = max(0, size - int(last)), size
    else:
        return None
    if start >= min(end, size):
        raise Unsatisfiable
    return ByteRange(start, min(end, size))
