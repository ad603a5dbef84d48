"""The options that are members of a job: its load, input and thresholds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from goloagent.client.errors import ClientError
from goloagent.core.thresholds import METRICS

_STAGE = re.compile(r"(?P<time>[^:]+):(?P<value>\d+(?:\.\d+)?)(?P<rate>/s)?", re.ASCII)
# A selector has colons too: {url:/cart}.
_THRESHOLD = re.compile(r"\s*([^:{]+(?:\{[^}]*\})?)\s*:\s*(.+)", re.DOTALL)
_LOAD = ("users", "rate", "load")


def add_load(members: dict[str, Any], layer: Mapping[str, Any]) -> None:
    """Replace the load of a lower layer by that of this one.

    Raises:
        ClientError: options exclude each other, or one is wrong.
    """
    given = [name for name in ("users", "rate", "stage") if name in layer]
    if len(given) > 1:
        raise ClientError(f"--{given[0]} and --{given[1]} exclude each other: remove one of them")
    if given:
        for name in _LOAD:
            members.pop(name, None)
    if "stage" in layer:
        if "duration" in layer:
            raise ClientError("--stage and --duration exclude each other: stages have durations")
        members.pop("duration", None)
        members["load"] = {"stages": [_stage(text) for text in layer["stage"]]}
    for name in ("users", "rate", "duration"):
        if name in layer:
            members[name] = layer[name]
    if given and layer.get(given[0]) == 0:
        raise ClientError(f"--{given[0]} 0 makes no load: give a number above 0")


def _stage(text: str) -> dict[str, Any]:
    match = _STAGE.fullmatch(text)
    if match is None:
        raise ClientError(f"--stage {text}: write 30s:100 for users, or 30s:100/s for a rate")
    value = float(match["value"])
    return {"rate" if match["rate"] else "users": value, "duration": match["time"]}


def add_members(
    members: dict[str, Any], layer: Mapping[str, Any], environ: Mapping[str, str]
) -> None:
    """Add the other members to those of a lower layer; variables and tags are merged by name.

    Raises:
        ClientError: one is wrong.
    """
    for name in ("name", "drive"):
        if name in layer:
            members[name] = layer[name]
    if "arg" in layer:
        members["args"] = list(layer["arg"])
    if "env" in layer:
        added = dict(_variable(text, environ) for text in layer["env"])
        members["env"] = {**members.get("env", {}), **added}
    if "tag" in layer:
        added = dict(_pair("--tag", text) for text in layer["tag"])
        members["tags"] = {**members.get("tags", {}), **added}
    if "threshold" in layer:
        members["thresholds"] = _thresholds(members.get("thresholds", {}), layer["threshold"])


def _variable(text: str, environ: Mapping[str, str]) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if equals:
        return name, value
    if name not in environ:
        raise ClientError(f"--env {name}: it is not set here; write {name}=VALUE, or set it")
    return name, environ[name]


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ClientError(f"{option} {text}: write NAME=VALUE")
    return name, value


def _thresholds(before: Any, added: Sequence[str]) -> dict[str, Any]:
    if not isinstance(before, Mapping):
        raise ClientError('thresholds must be a table such as duration = ["p(95)<250ms"]')
    thresholds = {
        name: list(value) if isinstance(value, list) else [value] for name, value in before.items()
    }
    for text in added:
        match = _THRESHOLD.fullmatch(text)
        if match is None:
            raise ClientError(
                f"--threshold {text}: write 'METRIC: EXPRESSION', such as 'duration: p(95)<250ms'; "
                f"metrics are {', '.join(METRICS)}"
            )
        thresholds.setdefault(match[1].strip(), []).append(match[2].strip())
    return thresholds
