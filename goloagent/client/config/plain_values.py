"""The values of a decoded TOML or YAML document, as JSON has them. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, time
from typing import Any

MAX_VALUES = 20_000
"""In a document: aliases of YAML repeat what they name, and could repeat it without end."""

MAX_DEPTH = 32


class NotPlain(Exception):
    """A value has no form in JSON; the message says which."""


class PlainValues:
    """Converts one document."""

    def __init__(self) -> None:
        self._count = 0

    def convert(self, value: Any, where: str = "", depth: int = 0) -> Any:
        """Return a value with dates and times as texts, and names in tables as texts.

        Raises:
            NotPlain: it is too large, too deep, or something else than JSON has.
        """
        self._count += 1
        if self._count > MAX_VALUES:
            raise NotPlain(f"it has more than {MAX_VALUES} values, with what aliases repeat")
        if depth > MAX_DEPTH:
            raise NotPlain(f"{where} is nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, Mapping):
            return {
                str(name): self.convert(one, f"{where}.{name}".lstrip("."), depth + 1)
                for name, one in value.items()
            }
        if isinstance(value, list):
            return [self.convert(one, f"{where}[{at}]", depth + 1) for at, one in enumerate(value)]
        if isinstance(value, date | time):  # datetime is a date
            return str(value)
        if isinstance(value, str) and "\0" in value:
            raise NotPlain(f"{where} has a NUL")
        if isinstance(value, float) and not math.isfinite(value):
            raise NotPlain(f"{where} must be a finite number")
        if value is None or isinstance(value, str | int | float):
            return value
        raise NotPlain(f"{where} must be a text, a number, a list or a table")
