"""The optional members of a job: what each is, and their values as those of the core. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import attrs
import msgspec
from msgspec import Meta

from goloagent.core import load_test_input, threshold_parser
from goloagent.core.load_test_input import DRIVES, LoadTestInput
from goloagent.core.profile import parser
from goloagent.core.profile.load_profile import LoadProfile, Share
from goloagent.core.profile.parser import MAX_RATE, MAX_SECONDS, constant, parse_load, read_seconds
from goloagent.core.profile.ramp import Ramp, Stage
from goloagent.core.thresholds import Threshold

FEATURES = frozenset(
    {
        "load",
        "rate",
        "drive-jsonrpc",
        "drive-self",
        "args",
        "env",
        "files",
        "tags",
        "thresholds",
        "share",
        "outputs",
    }
)
"""The features that a client may require with the header ``Golo-Requires``."""

MAX_AGENTS = 10_000
MAX_JOB_OUTPUTS = 32
RUN_ID_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"
_RUN_ID = re.compile(RUN_ID_PATTERN, re.ASCII)
# Objects whose members are known, so that their names ignore case as in Go.
FOLDED = frozenset({"load", "files", "share", "run"})


def _schema(description: str, kind: str, **more: object) -> Meta:
    """Describe a member for the API; the parsers of the core enforce it."""
    schema = {"type": [kind, "null"], **more}
    return Meta(description=description, extra_json_schema=schema)


_TEXT = {"type": "string"}
_FILE = {
    "type": "object",
    "required": ["name", "binary"],
    "properties": {
        "name": _TEXT,
        "binary": {**_TEXT, "description": "the id of an upload"},
        "split": {"enum": ["lines", None], "description": "each agent of a fleet gets its lines"},
        "header": {"type": "boolean", "description": "the first line is for every agent"},
    },
}
_STAGE = {
    "type": "object",
    "required": ["duration"],
    "properties": {
        "users": {"type": "number"},
        "rate": {"type": "number", "description": "iterations per second"},
        "duration": {"type": ["number", "string"], "description": "seconds, or a text like 90s"},
    },
}
_LOAD = {
    "required": ["stages"],
    "properties": {
        "stages": {
            "type": "array",
            "minItems": 1,
            "maxItems": parser.MAX_STAGES,
            "items": _STAGE,
            "description": "linear ramps, all with users or all with rate",
        },
        "start": {"type": "number", "description": "the value before the first stage"},
        "arrivals": {"enum": ["even", "poisson"]},
        "max_in_flight": {"type": "integer", "minimum": 1, "maximum": parser.MAX_IN_FLIGHT},
        "when_full": {"enum": ["drop", "wait"]},
        "graceful_stop": {
            "type": ["number", "string", "null"],
            "description": "seconds for the calls in flight at the end",
        },
        "seed": {"type": "integer", "minimum": 0},
    },
}


class OptionalMembers(msgspec.Struct):
    """The members of a job beside its name, users, duration and binary."""

    load: Annotated[Any, _schema("stages instead of users and duration", "object", **_LOAD)] = None
    rate: Annotated[
        Any, _schema("iterations per second instead of users", "number", maximum=MAX_RATE)
    ] = None
    drive: Annotated[
        Any, _schema("how the load test is driven", "string", enum=[*DRIVES, "", None])
    ] = None
    args: Annotated[Any, _schema("its arguments", "array", items=_TEXT)] = None
    env: Annotated[
        Any,
        _schema("its variables; the API never shows values", "object", additionalProperties=_TEXT),
    ] = None
    files: Annotated[Any, _schema("files in its directory", "array", items=_FILE)] = None
    tags: Annotated[
        Any, _schema("for outputs and reports", "object", additionalProperties=_TEXT)
    ] = None
    thresholds: Annotated[
        Any, _schema("expressions by metric, which decide whether the run passes", "object")
    ] = None
    share: Annotated[
        Any,
        _schema(
            "which part of a fleet's load is this agent's",
            "object",
            required=["index", "of"],
            properties={"index": {"type": "integer"}, "of": {"type": "integer"}},
        ),
    ] = None
    run: Annotated[
        Any,
        _schema(
            "the fleet's run", "object", required=["id"], properties={"id": {"type": "string"}}
        ),
    ] = None
    outputs: Annotated[
        Any,
        _schema("the names of its outputs; by default all of the agent", "array", items=_TEXT),
    ] = None


class InvalidMember(ValueError):
    """A member is wrong; the message names it and says what is allowed."""


@attrs.frozen
class JobMembers:
    """The values of the optional members of a job.

    Attributes:
        thresholds: what the run must reach to pass.
        run: the id of the run of a fleet, or None.
        outputs: the names of its outputs, or None for all of the agent.
    """

    profile: LoadProfile
    given: LoadTestInput
    tags: Mapping[str, str]
    thresholds: tuple[Threshold, ...]
    run: str | None
    outputs: tuple[str, ...] | None = None


def read_members(members: Mapping[str, Any], users: int, duration_seconds: int) -> JobMembers:
    """Read members of `OptionalMembers`, and ``duration`` if it is a text.

    Args:
        users: of a job without ``load`` and ``rate``.
        duration_seconds: of a job without ``load``, unless ``duration`` is there.

    Raises:
        ValueError: one is wrong; the message says what is allowed.
    """
    duration = members.get("duration", duration_seconds)
    profile = _profile(members, users, duration, _share(members.get("share")))
    given = load_test_input.parse_input(members)
    if given.drive == "self":
        _check_self(members, profile)
    return JobMembers(
        profile,
        given,
        load_test_input.parse_tags(members.get("tags", {})),
        _thresholds(members.get("thresholds", {})),
        _run(members.get("run")),
        _outputs(members.get("outputs")),
    )


def _profile(
    members: Mapping[str, Any], users: int, duration: int | str, share: Share
) -> LoadProfile:
    if "load" in members:
        return parse_load(_object(members["load"]), share)
    if "rate" in members:
        profile = constant("rate", members["rate"], duration, share)
        if not profile.ramp.start:
            raise InvalidMember("rate must be greater than 0: how many iterations start a second")
        return profile
    seconds = duration if isinstance(duration, int) else _seconds(duration)
    return LoadProfile("closed", Ramp(users, [Stage(users, seconds)]), share=share)


def _seconds(duration: str) -> float:
    return read_seconds("duration", duration, MAX_SECONDS)


def _check_self(members: Mapping[str, Any], profile: LoadProfile) -> None:
    for member in ("load", "rate"):
        if member in members:
            raise InvalidMember(f'drive "self" has no load of the agent: remove {member}')
    if not profile.seconds:
        raise InvalidMember('drive "self" needs a duration, after which the program is ended')


def _share(share: object) -> Share:
    if share is None:
        return Share()
    members = share if isinstance(share, Mapping) else {}
    index, of = members.get("index"), members.get("of")
    if not (
        set(members) == {"index", "of"}
        and type(index) is type(of) is int
        and 0 <= index < of <= MAX_AGENTS
    ):
        raise InvalidMember(
            'share must be such as {"index": 0, "of": 3}, with index from 0 to of - 1'
            f" and of up to {MAX_AGENTS}"
        )
    return Share(index, of)


def _run(run: object) -> str | None:
    if run is None:
        return None
    members = run if isinstance(run, Mapping) else {}
    name = members.get("id")
    if set(members) != {"id"} or not isinstance(name, str) or not _RUN_ID.fullmatch(name):
        raise InvalidMember(
            'run must be such as {"id": "0d1f"}, of 1 to 64 of A-Z a-z 0-9 _ . -, not . or - first'
        )
    return name


def _outputs(given: object) -> tuple[str, ...] | None:
    if given is None:
        return None
    names = given if isinstance(given, list | tuple) else ()
    if not all(isinstance(name, str) for name in names) or not 0 < len(names) <= MAX_JOB_OUTPUTS:
        raise InvalidMember(
            'outputs must be a list of names such as ["collector", "influx"], of 1 to '
            f"{MAX_JOB_OUTPUTS}; leave it out for all outputs of the agent"
        )
    if len(set(names)) < len(names):
        raise InvalidMember("outputs has a name twice: remove one of them")
    return tuple(names)


def _thresholds(given: object) -> tuple[Threshold, ...]:
    if not isinstance(given, Mapping):
        raise InvalidMember(
            'thresholds must be an object such as {"duration": ["p(95)<250ms"]}, by metric'
        )
    return threshold_parser.parse(given)


def _object(load: object) -> Mapping[str, Any]:
    if not isinstance(load, Mapping):
        raise InvalidMember(
            'load must be an object such as {"stages": [{"rate": 5, "duration": 60}]}'
        )
    return load
