"""The escapes of InfluxDB's line protocol, in a form that all its parsers read alike. Pure.

They differ in what a backslash in a tag means and in whether a string may have a line break:
so neither is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

MAX_TAG_CHARS = 1_024
"""Of a value; a longer one is cut. A point's tags must have less than 64 KiB."""

MAX_STRING_CHARS = 8_192
"""Of the value of a field; a longer one is cut. A string must have less than 64 KiB."""

_CONTROLS = (*range(0x20), 0x7F, 0x85, 0x2028, 0x2029)
_TAG = {
    **dict.fromkeys(_CONTROLS, "?"),
    **{ord(one): f"\\{one}" for one in ", ="},
    ord("\\"): "/",
}
_STRING = {
    **dict.fromkeys(_CONTROLS, "\N{REPLACEMENT CHARACTER}"),
    **{ord(one): f"\\\\{name}" for one, name in zip("\n\r\t", "nrt", strict=True)},
    ord('"'): '\\"',
    ord("\\"): "\\\\",
}
_is_plain_tag = re.compile(r"[!-+\--<>-\[\]-~]*").fullmatch  # printable ASCII but , = \ and spaces

# Those of golo's points, and those that a version of InfluxDB does not accept or reserves.
RESERVED = frozenset({
    "job", "run", "name", "agent", "method", "url", "status", "model",
    "duration", "size", "error", "sequence_id", "is_error", "timestamp", "time",
    "planned", "scheduled", "started", "dropped", "succeeded", "failed", "in_flight",
    "results", "errors", "bytes", "invalid", "limited",
    "duration_p50", "duration_p95", "duration_p99", "duration_max",
    "iteration_p50", "iteration_p95", "iteration_p99", "iteration_max",
})  # fmt: skip


def tag_set(tags: Mapping[str, str]) -> str:
    """Return tags in this order, each with a comma before it, without those that are empty.

    The names need no escape.
    """
    return "".join(f",{name}={tag_value(value)}" for name, value in tags.items() if value)


def tag_value(text: str) -> str:
    """Return the value of a tag: a control character becomes ``?``, a backslash a slash."""
    text = text[:MAX_TAG_CHARS]
    return text if _is_plain_tag(text) else text.translate(_TAG)


def string_field(text: str) -> str:
    r"""Return the value of a field in quotes: a line break becomes ``\n``, two characters."""
    if len(text) > MAX_STRING_CHARS:
        text = text[:MAX_STRING_CHARS]
    if '"' in text or "\\" in text or not text.isprintable():
        text = text.translate(_STRING)
    return f'"{text}"'


def error_text(error: object) -> str:
    """Return the error of a record as text: of a JSON string the string, else the JSON."""
    text = bytes(error) if isinstance(error, msgspec.Raw) else msgspec.json.encode(error)
    if text.startswith(b'"'):
        return msgspec.json.decode(text, type=str)
    return text.decode()


def job_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a job under names that are free, with ``tag_`` before a reserved one."""
    free = {tag: value for tag, value in tags.items() if not _is_reserved(tag)}
    for tag in sorted(tags.keys() - free.keys()):
        name = f"tag_{tag}"
        while name in free:
            name = f"tag_{name}"
        free[name] = tags[tag]
    return dict(sorted(free.items()))


def _is_reserved(name: str) -> bool:
    return name in RESERVED or name.startswith("_")
