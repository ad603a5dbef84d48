"""Durations as a person writes them: ``90s``, ``5m``, ``1h30m``, ``250ms`` or bare seconds."""

from __future__ import annotations

import re

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[dhms])", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def parse_duration(text: str) -> float:
    """Return the seconds of a duration.

    Raises:
        ValueError: it is none; the message says what one is.
    """
    if _NUMBER.fullmatch(text):
        return float(text)
    if not _WHOLE.fullmatch(text):
        raise ValueError(f'"{text[:40]}" is not a duration: write seconds, or 250ms, 90s, 1h30m')
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
