"""Figures and texts as people read them. Pure."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """Return a text of one line that cannot change the terminal or the direction of the line."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char == " " or unicodedata.category(char)[0] not in "CZ" else _escape(char)
        for char in text
    )


def _escape(char: str) -> str:
    return " " if unicodedata.category(char) == "Zs" else ascii(char)[1:-1]


def count(value: float) -> str:
    """Return a whole number with separators."""
    return f"{value:,.0f}"


def seconds(value: float | None) -> str:
    """Return a time with three digits: ``0.421 ms``, ``12.3 ms``, ``1.20 s``."""
    if value is None:
        return "-"
    if value >= 9_999:
        return f"{value:,.0f} s"
    return f"{digits(value)} s" if value >= 0.9995 else f"{digits(value * 1000)} ms"


def digits(value: float) -> str:
    """Return a number with three digits, or all of its whole ones; at most three decimals."""
    rounded = abs(float(f"{value:.3g}"))
    decimals = 3 if rounded < 1 else 2 if rounded < 10 else 1 if rounded < 100 else 0
    return f"{value:,.{decimals if rounded else 0}f}"


def rate(value: float) -> str:
    """Return a number a second."""
    return f"{digits(value)}/s"


def share(part: float, whole: float) -> str:
    """Return a part in percent; a part is never shown as 0 %, nor less than all as 100 %."""
    if not whole or not part:
        return "0 %"
    percent = 100 * part / whole
    if percent == 100:
        return "100 %"
    if percent < 0.01:
        return "< 0.01 %"
    if 99.99 < percent < 100:
        return "> 99.99 %"
    return f"{percent:.2f} %" if percent < 10 or percent > 99.9 else f"{percent:.1f} %"


def size(value: float) -> str:
    """Return a number of bytes in the largest unit that gives at least one."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} B" if unit == "B" else f"{digits(value)} {unit}"
        value /= 1000
    return f"{digits(value)} TB"


def duration(value: float) -> str:
    """Return whole seconds as a clock shows them: ``0:05``, ``1:02:03``."""
    whole = max(0, round(value))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
