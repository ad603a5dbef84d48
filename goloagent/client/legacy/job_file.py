"""The job files of 2018: TOML with `type` and the table `schema`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import attrs

from goloagent.client.legacy.errors import LegacyError, describe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TYPES = ("job", "job.latest", "job.1")
_HEADER = re.compile(r"\s*\[+([^\[\]]*)\]")
_KEY = re.compile(r"\s*([\w.-]+)")
_GO_TYPES = {str: "string", bool: "bool", int: "int64", float: "float64", list: "[]interface {}"}


@attrs.frozen
class Job:
    """A job to queue; a missing member of the file is empty or 0."""

    name: str = ""
    users: int = 0
    duration: int = 0


def read(path: str) -> Job:
    """Read a job.

    Raises:
        LegacyError: the file is not readable, or is no job.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise LegacyError(describe(error, path)) from None
    return parse(data)


def parse(data: bytes) -> Job:
    """Parse a job; members that it does not know are ignored.

    Raises:
        LegacyError: it is not TOML, has another type, or a member of the wrong type.
    """
    try:
        text = data.decode()
        document = tomllib.loads(text)
    except UnicodeDecodeError:
        raise LegacyError("toml: the file is not text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise LegacyError(_near(text, str(error))) from None
    except RecursionError:
        raise LegacyError("toml: values are nested too deep") from None
    kind = _member(document, "type", str, "")
    if kind not in TYPES:
        raise LegacyError(f'Invalid type "{kind}"')
    schema = _find(document, "schema")
    if schema is None:
        return Job()
    if not isinstance(schema, dict):
        raise LegacyError(
            f"toml: type mismatch for main.Job: expected table but found {_go_type(schema)}"
        )
    return Job(
        name=_member(schema, "name", str, ""),
        users=_member(schema, "users", int, 0),
        duration=_member(schema, "duration", int, 0),
    )


def _find(table: dict[str, Any], name: str) -> Any:
    """Return a member by its name, else by its name in another case, else None."""
    if name in table:
        return table[name]
    return next((value for key, value in table.items() if key.casefold() == name), None)


def _member(table: dict[str, Any], name: str, kind: type, default: Any) -> Any:
    value = _find(table, name)
    if value is None:
        return default
    if type(value) is not kind:
        expected = "integer" if kind is int else "string"
        raise LegacyError(
            f"toml: cannot load TOML value of type {_go_type(value)} into a Go {expected}"
        )
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise LegacyError(f"toml: Integer '{value}' is out of the range of 64-bit signed integers.")
    return value


def _go_type(value: object) -> str:
    if isinstance(value, dict):
        return "map[string]interface {}"
    return _GO_TYPES.get(type(value), "time.Time")


def _near(text: str, message: str) -> str:
    """Return an error with its line and key first: "Invalid value (at line 3, column 9)"."""
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", message)
    if match is None:
        return f"toml: {message}"
    lines = text.splitlines()
    number = int(match[2]) if match[2] else len(lines)
    table, key = "", ""
    for line in lines[:number]:
        if header := _HEADER.match(line):
            table, key = f"{header[1]}.", ""
        elif pair := _KEY.match(line):
            key = pair[1]
    return f"Near line {number} (last key parsed '{table}{key}'): {match[1]}"
