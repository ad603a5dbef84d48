"""The signs of the views, by what a stream can print. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import attrs


@attrs.frozen
class Symbols:
    """The signs of a view, by what the encoding of the stream can express.

    Attributes:
        levels: of a sparkline, from the lowest to the highest.
    """

    passed: str = "✓"
    failed: str = "✗"
    dash: str = "\u2013"
    dot: str = "·"
    ellipsis: str = "…"
    done: str = "━"
    left: str = "─"
    levels: str = "▁▂▃▄▅▆▇█"


ASCII = Symbols("ok", "FAILED", "-", "|", "...", "#", ".", "_.-=*#")
UNICODE = Symbols()


def symbols_for(encoding: str | None) -> Symbols:
    """Return the signs that a stream of an encoding can print."""
    try:
        "".join(attrs.astuple(UNICODE)).encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return ASCII
    return UNICODE


def sparkline(values: Sequence[float | None], levels: str, top: float | None = None) -> str:
    """Return a character for each value, from 0 to the highest; a missing one is a space.

    Args:
        top: the value of the highest level, by default the maximum.
    """
    highest = max((value for value in values if value is not None), default=0.0)
    limit = max(top or 0.0, highest)
    return "".join(
        " " if value is None else levels[_level(value, limit, len(levels))] for value in values
    )


def _level(value: float, limit: float, levels: int) -> int:
    return 0 if limit <= 0 else min(levels - 1, int(value / limit * levels))
