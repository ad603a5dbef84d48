"""Job files: TOML or YAML with the members of a job, its program, fleet and report.

The table ``schema`` of golo-cli of 2018 holds members of the job too. Unlike golo-cli, unknown
names are errors, because a wrong name would change nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import attrs
import yaml

from goloagent.client.config.plain_values import NotPlain, PlainValues
from goloagent.client.errors import ClientError, reason_of
from goloagent.core.job_spec import JobRequest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BYTES = 1024 * 1024
SUFFIXES = (".toml", ".yaml", ".yml")
TYPES = ("job", "job.latest", "job.1")

# `binary` and `files` are of uploads, which the client makes.
MEMBERS = frozenset(JobRequest.__struct_fields__) - {"binary", "run", "share"}
FLEET = ("provider", "agent_tag", "agents", "tolerate", "ready_timeout", "token_file", "ca")
REPORT = ("json", "junit", "html", "baseline", "strict", "delivery_timeout", "repeat")
_TEXTS = frozenset(
    {"provider", "agent_tag", "token_file", "ca", "json", "junit", "html", "baseline"}
)
_OTHERS = ("type", "version", "schema", "program", "requirements", "exec", "fleet", "report")


@attrs.frozen
class JobFile:
    """The content of a job file; paths in it are relative to its directory.

    Args:
        members: of the job; each of its ``files`` has a ``path`` instead of a ``binary``.
        program: a path, or a URL.
        command: of ``exec``.
    """

    directory: Path
    members: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    program: str | None = None
    requirements: str | None = None
    command: tuple[str, ...] = ()
    fleet: Mapping[str, Any] = attrs.field(factory=dict)
    report: Mapping[str, Any] = attrs.field(factory=dict)


def read_job_file(path: Path) -> JobFile:
    """Read a job file.

    Raises:
        ClientError: it cannot be read, or something in it is wrong.
    """
    try:
        if path.is_fifo():
            raise ClientError(f"{path} is a pipe; give a file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ClientError(f"{path}: {reason_of(error)}") from None
    if len(data) > MAX_BYTES:
        raise ClientError(f"{path} is larger than 1 MiB; is it a job file?")
    return parse_job_file(_decode(path, data), path)


def parse_job_file(document: object, path: Path) -> JobFile:
    """Return the job file of a decoded document.

    Raises:
        ClientError: something in it is wrong.
    """
    if not isinstance(document, Mapping):
        raise ClientError(f"{path} has no members; begin with: type: job")
    try:
        values = _folded(path, PlainValues().convert(document))
    except NotPlain as error:
        raise ClientError(f"{path}: {error}") from None
    _check_names(path, values, {*_OTHERS, *MEMBERS})
    if str(values.get("type", "job")) not in TYPES:
        raise ClientError(f'{path}: type "{values["type"]}" is not known: use {", ".join(TYPES)}')
    if str(values.get("version", 1)) != "1":
        raise ClientError(f"{path}: version {values['version']} is not known: use 1")
    schema = _table(path, values, "schema", MEMBERS)
    members = {name: value for name, value in values.items() if name in MEMBERS}
    twice = sorted(set(schema) & set(members))
    if twice:
        raise ClientError(f"{path}: {twice[0]} is there twice; remove one of them")
    command = values.get("exec", [])
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        raise ClientError(f'{path}: exec must be a list of texts, such as ["curl", "-s", "URL"]')
    if command and "program" in values:
        raise ClientError(f"{path}: exec and program exclude each other: remove one of them")
    return JobFile(
        directory=path.parent,
        members={**schema, **members},
        program=_text(path, values, "program"),
        requirements=_text(path, values, "requirements"),
        command=tuple(command),
        fleet=_table(path, values, "fleet", FLEET),
        report=_table(path, values, "report", REPORT),
    )


def _decode(path: Path, data: bytes) -> object:
    try:
        text = data.decode("utf-8-sig")
        if path.suffix == ".toml":
            return tomllib.loads(text)
        return yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise ClientError(f"{path}: it is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise ClientError(f"{path}: it is nested too deeply") from None
    except (tomllib.TOMLDecodeError, yaml.YAMLError, ValueError) as error:
        raise ClientError(f"{path}: {' '.join(str(error).split())}") from None


def _folded(path: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are given, with names in small letters and ``_``."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        folded = name.casefold().replace("-", "_")
        if folded in found:
            raise ClientError(f"{path}: {folded} is there twice; remove one of them")
        found[folded] = value
    return {name: value for name, value in found.items() if value is not None}


def _table(
    path: Path, values: Mapping[str, Any], name: str, known: Iterable[str]
) -> dict[str, Any]:
    table = values.get(name, {})
    if not isinstance(table, Mapping):
        raise ClientError(f"{path}: {name} must be a table")
    found = _folded(path, table)
    _check_names(path, found, known, f"{name}.")
    if name in ("fleet", "report"):
        for key in _TEXTS & found.keys():
            _text(path, found, key)
        if not isinstance(found.get("strict", True), bool):
            raise ClientError(f"{path}: report.strict must be true or false")
    return found


def _check_names(
    path: Path, values: Mapping[str, Any], known: Iterable[str], prefix: str = ""
) -> None:
    known = sorted(known)
    for name in values:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"use {', '.join(known)}"
            raise ClientError(f"{path}: {prefix}{name} is not known; {hint}")


def _text(path: Path, values: Mapping[str, Any], name: str) -> str | None:
    value = values.get(name)
    if value is not None and (not isinstance(value, str) or not value):
        raise ClientError(f"{path}: {name} must be a text")
    return value
