"""The body of ``POST /queue``, parsed into a validated `JobSpec`. Pure.

As in Go's encoding/json a missing number is zero, null is missing, and names ignore case.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

import attrs
import msgspec
from msgspec import Meta

from goloagent.core.job_members import FOLDED, JobMembers, OptionalMembers, read_members
from goloagent.core.load_test_input import Drive, LoadTestInput
from goloagent.core.profile.load_profile import LoadProfile
from goloagent.core.thresholds import Threshold
from goloagent.core.trace_context import HEADER, parse_traceparent

MAX_REQUEST_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_USERS = 100_000
MAX_DURATION_SECONDS = 7 * 24 * 3600
DEFAULT_USERS = 25
DEFAULT_NAME = "dead_letter"
AGENT = "agent"
"""The member of a job whose results another agent has sent."""

NAME_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"
_NAME = re.compile(NAME_PATTERN)

# For the API description; the limits are enforced below.
_NAME_IS = Meta(
    description=f"empty means {DEFAULT_NAME}",
    extra_json_schema={"pattern": f"^({NAME_PATTERN})?$"},
)
_USERS_ARE = Meta(
    description=f"0 means {DEFAULT_USERS}",
    extra_json_schema={"minimum": 0, "maximum": MAX_USERS},
)
_DURATION_IS = Meta(
    description="seconds, or a text such as 90s, 5m or 1h30m",
    extra_json_schema={"minimum": 0, "maximum": MAX_DURATION_SECONDS},
)
_MAX_SENTENCE = 400


class InvalidSpec(Exception):
    """The request is not a valid job; the message is for the client."""


@attrs.frozen
class JobSpec:
    """A requested job.

    Args:
        users: calls in flight in the closed model, with stages the most of them; 0 in the open one.
        duration_seconds: how long the load lasts, rounded up.
        members: the optional members as they were requested, ``duration`` if it was a text, and
            the header ``traceparent``.

    Raises:
        ValueError: a member is wrong.
    """

    name: str
    users: int
    duration_seconds: int
    binary: str
    members: Mapping[str, Any] = attrs.field(factory=dict, repr=False)  # env is secret
    _read: JobMembers = attrs.field(init=False, eq=False, repr=False)

    @_read.default
    def _read_members(self) -> JobMembers:
        return read_members(self.members, self.users, self.duration_seconds)

    @property
    def profile(self) -> LoadProfile:
        """The load that is planned, and this agent's share of it."""
        return self._read.profile

    @property
    def given(self) -> LoadTestInput:
        """The input of the load test."""
        return self._read.given

    @property
    def binaries(self) -> tuple[str, ...]:
        """The ids of all uploads that it needs."""
        return (self.binary, *(file.binary for file in self.given.files))

    @property
    def drive(self) -> Drive:
        """How the load test is driven."""
        return self._read.given.drive

    @property
    def tags(self) -> Mapping[str, str]:
        """Texts for outputs and reports."""
        return self._read.tags

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """The expressions that decide whether the run passes."""
        return self._read.thresholds

    def chooses(self, output: str) -> bool:
        """Return whether the job is for an output; without a choice it is for all."""
        return self._read.outputs is None or output in self._read.outputs

    @property
    def run(self) -> str | None:
        """The id of the fleet's run that it belongs to."""
        return self._read.run

    @property
    def outputs(self) -> tuple[str, ...] | None:
        """The names of the outputs that it chose; None for all of the agent."""
        return self._read.outputs

    @property
    def traceparent(self) -> str:
        """The trace context of the request, or ""."""
        return parse_traceparent([str(self.members.get(HEADER, ""))])

    @property
    def agent(self) -> str:
        """The name of the agent that runs it, if that is another one; "" for this one."""
        return str(self.members.get(AGENT, ""))

    def with_trace(self, traceparent: str) -> JobSpec:
        """Return it with the trace context of its request, which may be ""."""
        if not traceparent:
            return self
        return attrs.evolve(self, members={**self.members, HEADER: traceparent})


class JobRequest(OptionalMembers):
    """The JSON object of ``POST /queue``; the response names unknown members."""

    name: Annotated[str | None, _NAME_IS] = None
    users: Annotated[int | None, _USERS_ARE] = None
    duration: Annotated[int | str | None, _DURATION_IS] = None
    binary: str | None = None


def parse(body: bytes) -> tuple[JobSpec, tuple[str, ...]]:
    """Parse the body; return the job and the names of unknown members.

    Raises:
        InvalidSpec: the body is not such an object, or a member is wrong.
    """
    try:
        text = body.decode("utf-8")
        # Unknown members count for validity and depth too.
        _check_depth(msgspec.json.decode(text, type=dict[str, Any]))
        known, ignored = _members(text)
        request = msgspec.json.decode(msgspec.json.encode(known), type=JobRequest)
    except UnicodeDecodeError as error:
        raise InvalidSpec(f"invalid JSON: not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise InvalidSpec(f"invalid JSON: nested deeper than {MAX_DEPTH} levels") from None
    except msgspec.DecodeError as error:
        raise InvalidSpec(f"invalid JSON: {error}") from None
    try:
        return _spec(request, known), ignored
    except ValueError as error:
        raise InvalidSpec(_one_line(str(error))) from None


def _spec(request: JobRequest, known: dict[str, Any]) -> JobSpec:
    """Return the job; a number that is zero is missing.

    Raises:
        InvalidSpec, ValueError: a member is wrong.
    """
    name = _name(request.name or DEFAULT_NAME)
    members = {
        member: known[member] for member in OptionalMembers.__struct_fields__ if member in known
    }
    users = _within("users", request.users or 0, MAX_USERS)
    duration = request.duration or 0
    if isinstance(duration, str):
        members["duration"] = duration
        seconds = 0
    else:
        seconds = _within("duration", duration, MAX_DURATION_SECONDS)
    _check_exclusive({"users": users, "duration": duration, **members})
    if not users and not members.keys() & {"load", "rate"} and members.get("drive") != "self":
        users = DEFAULT_USERS
    profile = read_members(members, users, seconds).profile
    return JobSpec(
        name=name,
        users=users if "load" not in members else _most_users(profile),
        duration_seconds=math.ceil(profile.seconds),
        binary=request.binary or "",
        members=members,
    )


def _most_users(profile: LoadProfile) -> int:
    return math.ceil(profile.ramp.peak()) if profile.model == "closed" else 0


def _check_exclusive(members: Mapping[str, Any]) -> None:
    """Check that one member at most says how much load there is, and for how long."""
    for one, others in (("load", ("users", "rate", "duration")), ("rate", ("users",))):
        for other in others:
            if one in members and members.get(other):
                raise InvalidSpec(f"{one} and {other} exclude each other: remove one of them")


def _one_line(text: str) -> str:
    """Escape and cut a sentence that quotes the request."""
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return shown if len(shown) <= _MAX_SENTENCE else f"{shown[:_MAX_SENTENCE]}…"


class _Pairs(list[tuple[str, Any]]):
    """The members of a JSON object in order, with duplicates."""


def _members(text: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the known members, and the names of the others, of valid JSON.

    Of several members with one name the last one that is not null counts.
    """
    pairs: _Pairs = json.loads(text, object_pairs_hook=_Pairs)
    known: dict[str, Any] = {}
    ignored: dict[str, None] = {}
    for given, value in pairs:
        name = given.casefold()
        if name not in JobRequest.__struct_fields__:
            ignored[given] = None
        elif value is not None:
            known[name] = _plain(value, name in FOLDED)
    return known, tuple(ignored)


def _plain(value: object, fold: bool) -> Any:
    """Return JSON with plain objects; with `fold`, names ignore case and null is missing."""
    if isinstance(value, _Pairs):
        if not fold:
            return {name: _plain(member, fold) for name, member in value}
        return {
            name.casefold(): _plain(member, fold) for name, member in value if member is not None
        }
    return [_plain(member, fold) for member in value] if isinstance(value, list) else value


def _check_depth(value: object, depth: int = 1) -> None:
    if not isinstance(value, dict | list):
        return
    if depth > MAX_DEPTH:
        raise RecursionError
    for member in value.values() if isinstance(value, dict) else value:
        _check_depth(member, depth + 1)


def _name(name: str) -> str:
    if _NAME.fullmatch(name):
        return name
    raise InvalidSpec(
        f"invalid name {json.dumps(name[:80])}: 1 to 64 of A-Z a-z 0-9 _ . -, not . or - first,"
        " are allowed"
    )


def _within(member: str, value: int, most: int) -> int:
    if 0 <= value <= most:
        return value
    raise InvalidSpec(f"invalid {member} {value}: 0 to {most} is allowed")
