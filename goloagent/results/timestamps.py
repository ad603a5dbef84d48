"""Timestamps of results: RFC 3339 to the letter, as Go's ``time.Time`` prints them. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Raw

_DATE = (
    "(?:[0-9]{4}-(?:"
    "(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
_TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_SECOND = f"{_DATE}T{_TIME}"
_OFFSET = "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
_LOOSE_SECOND = f"{_DATE}[T ]{_TIME}"
_EXAMPLE = "RFC 3339, such as 2026-01-02T03:04:05.678Z"

# Only days that exist, any number of digits in a fraction, no leap second, no escapes.
_is_timestamp = re.compile(f'"{_SECOND}(?:[.][0-9]+)?{_OFFSET}"'.encode()).fullmatch
_around_fraction = re.compile(f'("{_SECOND}[.])[0-9]+({_OFFSET}")'.encode()).fullmatch
_has_no_zone = re.compile(f'"{_LOOSE_SECOND}(?:[.,][0-9]+)?"'.encode()).fullmatch
_has_no_colon = re.compile(f'"{_LOOSE_SECOND}(?:[.][0-9]+)? ?[+-][0-9]{{4}}"'.encode()).fullmatch
_has_no_t = re.compile(f'"{_DATE} {_TIME}.*"'.encode()).fullmatch
_DIGITS = b"0123456789"
# From this number on, one check of all timestamps is faster than a match of each.
_MIN_TOGETHER = 16


def are_timestamps(texts: Sequence[Raw]) -> bool:
    """Return whether all JSON values, at least one, are timestamps.

    Of many, nearly all are usually of the same second, which one check of all can confirm.
    """
    if len(texts) >= _MIN_TOGETHER and _are_of_one_second(texts):
        return True
    return all(map(_is_timestamp, texts))


def explain(text: Raw) -> str | None:
    """Return what is wrong with the JSON value of a timestamp, or None if it is one."""
    if _is_timestamp(text):
        return None
    if not bytes(text).startswith(b'"'):
        return f"must be a string in {_EXAMPLE}"
    if _has_no_zone(text):
        return "has no time zone: Z or an offset such as +02:00 must follow"
    if _has_no_colon(text):
        return "has an offset without a colon: +02:00 is wanted, and a T before the time"
    if _has_no_t(text):
        return "has no T between date and time"
    return f"is not {_EXAMPLE}"


def _are_of_one_second(texts: Sequence[Raw]) -> bool:
    """Return whether all texts are timestamps that differ only in the digits of their fractions.

    If each begins with the same second and ends in the same offset, and all are equal without
    their digits, only digits are between the two: at least one, as no dot precedes the offset.
    """
    first = _around_fraction(texts[0])
    if first is None:
        return False
    beginning, end = first.groups()
    joined = b"\n".join(texts)
    frame = (beginning + end).translate(None, _DIGITS)
    return (
        joined.count(b"\n" + beginning) == joined.count(end + b"\n") == len(texts) - 1
        and joined.endswith(end)
        and b"." + end not in joined
        and joined.translate(None, _DIGITS) == b"\n".join([frame] * len(texts))
    )
