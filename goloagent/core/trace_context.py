"""The header ``traceparent`` of W3C Trace Context, by which traces find a run. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

HEADER = "traceparent"
VARIABLE = "TRACEPARENT"

_FIELDS = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_LENGTH = len("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


def parse_traceparent(values: Sequence[str]) -> str:
    """Return the value of a header of which there are these, or "" if it is invalid.

    The value of a later version is returned as that of version 00, which has its first fields.
    """
    if len(values) != 1:
        return ""
    text = values[0].strip(" \t")
    found = _FIELDS.match(text)
    if found is None:
        return ""
    rest = text[_LENGTH:]
    if rest and (found["version"] == "00" or not rest.startswith("-")):
        return ""
    return f"00{text[2:_LENGTH]}"
