"""Rows of results in the text format of PostgreSQL's COPY. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from goloagent.outputs.sinks.rows import Rows
from goloagent.results.table import NUL

_NULL = r"\N"
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\0": NUL})
_has_special = re.compile(r"[\\\n\r\t\0]").search
_find_nul = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000").sub

# PostgreSQL reads timestamps of at most 128 characters, which may not be in the year 0, and offsets
# of less than 16 hours.
_MAX_CHARS = 40
_FIRST_YEAR = "0001"
_OFFSET_CHARS = len("+00:00")
_SECOND_CHARS = len("2026-01-02T03:04:05")
_FRACTION_DIGITS = 9


def copy_text(rows: Rows) -> str:
    """Return the rows, each with a newline, in the order of `COLUMNS`."""
    begin = "\t".join(map(_escaped, rows.labels))
    tags = _escaped(_find_nul(rf"\1{NUL}", rows.tags))
    # One argument for each column, in the order of `Rows.members`.
    times, methods, urls, statuses, durations, sizes, errors, ids = rows.members
    return "".join(
        [
            f"{begin}\t{number}\t{time}\t{method}\t{url}\t{status}"
            f"\t{duration}\t{size}\t{error}\t{identifier}\t{tags}\n"
            for number, time, method, url, status, duration, size, error, identifier in zip(
                rows.ordinals,
                _timestamps(times),
                _texts(methods),
                _texts(urls),
                _numbers(statuses),
                _numbers(durations),
                _numbers(sizes),
                _texts(errors),
                _texts(ids),
                strict=True,
            )
        ]
    )


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)


def _texts(column: Sequence[str | None]) -> Sequence[str]:
    """Return a column of texts; one search of all of them is faster than one of each."""
    present = [text for text in column if text is not None]
    if len(present) == len(column) and not _has_special("".join(present)):
        return present
    return [_NULL if text is None else _escaped(text) for text in column]


def _numbers(column: Sequence[int | None]) -> Sequence[Any]:
    return [_NULL if number is None else number for number in column] if None in column else column


def _timestamps(column: Sequence[str]) -> Sequence[str]:
    """Return timestamps that PostgreSQL reads; it rounds them to microseconds."""
    if not column:
        return column
    offsets = {text[-_OFFSET_CHARS:] for text in column if not text.endswith("Z")}
    is_plain = (
        max(map(len, column)) <= _MAX_CHARS
        and min(column) >= _FIRST_YEAR
        and all(offset[1] == "0" for offset in offsets)
    )
    return column if is_plain else [_timestamp(text) for text in column]


def _timestamp(text: str) -> str:
    """Return a timestamp in UTC, in a year that PostgreSQL knows."""
    second, rest = text[:_SECOND_CHARS], text[_SECOND_CHARS:]
    offset = "" if rest.endswith("Z") else rest[-_OFFSET_CHARS:]
    fraction = rest[: len(rest) - (len(offset) or 1)][: 1 + _FRACTION_DIGITS]
    # datetime begins with the year 1 and ends with 9999; 400 years later is the same calendar.
    year = int(second[:4])
    shift = 400 if year <= 1 else -400
    time = datetime.fromisoformat(f"{year + shift:04}{second[4:]}")
    if offset:
        minutes = int(offset[1:3]) * 60 + int(offset[4:6])
        time -= timedelta(minutes=minutes if offset[0] == "+" else -minutes)
    year = time.year - shift
    era = "" if year > 0 else " BC"
    year = year if year > 0 else 1 - year
    return f"{year:04}-{time:%m-%dT%H:%M:%S}{fraction}Z{era}"
