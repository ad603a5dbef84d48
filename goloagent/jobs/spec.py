"""What a client asks for when it queues a job: bytes in, a validated `JobSpec` out.

Knows the limits of each member and Go's rules for them (a missing number is zero, null is
missing, the case of a name does not matter). Does not know whether the binary exists: that is the
store's to say.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import attrs
import msgspec
from msgspec import Meta

MAX_REQUEST_BYTES = 64 * 1024
MAX_DEPTH = 32
MAX_USERS = 100_000
MAX_DURATION_SECONDS = 7 * 24 * 3600
DEFAULT_USERS = 25
DEFAULT_NAME = "dead_letter"

NAME_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"
_NAME = re.compile(NAME_PATTERN)

# What is out of bounds is refused below, in words of our own; here it is said to clients.
_NAME_IS = Meta(
    description=f"empty means {DEFAULT_NAME}",
    extra_json_schema={"pattern": f"^({NAME_PATTERN})?$"},
)
_USERS_ARE = Meta(
    description=f"0 means {DEFAULT_USERS}",
    extra_json_schema={"minimum": 0, "maximum": MAX_USERS},
)
_DURATION_IS = Meta(
    description="seconds",
    extra_json_schema={"minimum": 0, "maximum": MAX_DURATION_SECONDS},
)


class InvalidSpec(Exception):
    """The request cannot be a job; the message says what is wrong and where, for the client."""


@attrs.frozen
class JobSpec:
    """A job as asked for: `users` calls kept outstanding for `duration_seconds`."""

    name: str
    users: int
    duration_seconds: int
    binary: str


class JobRequest(msgspec.Struct):
    """The JSON object of ``POST /queue``; unknown members are named in the answer."""

    name: Annotated[str | None, _NAME_IS] = None
    users: Annotated[int | None, _USERS_ARE] = None
    duration: Annotated[int | None, _DURATION_IS] = None
    binary: str | None = None


def parse(body: bytes) -> tuple[JobSpec, tuple[str, ...]]:
    """Read the body of ``POST /queue``; return the job, and the members that are not known.

    Raises:
        InvalidSpec: the body is not such an object, or a member is out of its bounds.
    """
    try:
        text = body.decode("utf-8")
        # The whole document is decoded first: unknown members count for depth and validity too.
        _check_depth(msgspec.json.decode(text, type=dict[str, Any]))
        known, ignored = _members(text)
        request = msgspec.json.decode(msgspec.json.encode(known), type=JobRequest)
    except UnicodeDecodeError as error:
        raise InvalidSpec(f"invalid JSON: not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise InvalidSpec(f"invalid JSON: nested deeper than {MAX_DEPTH} levels") from None
    except msgspec.DecodeError as error:
        raise InvalidSpec(f"invalid JSON: {error}") from None
    spec = JobSpec(
        name=_name(request.name or DEFAULT_NAME),
        users=_within("users", request.users or 0, MAX_USERS) or DEFAULT_USERS,
        duration_seconds=_within("duration", request.duration or 0, MAX_DURATION_SECONDS),
        binary=request.binary or "",
    )
    return spec, ignored


class _Pairs(list[tuple[str, Any]]):
    """The members of a JSON object in their order, those of one name too."""


def _members(text: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the known members by their names and the names of the others, from valid JSON.

    As in Go's encoding/json, the case of a name does not matter, the last of several members of one
    name counts, and null changes nothing.
    """
    pairs: _Pairs = json.loads(text, object_pairs_hook=_Pairs)
    known: dict[str, Any] = {}
    ignored: dict[str, None] = {}
    for given, value in pairs:
        name = given.casefold()
        if name not in JobRequest.__struct_fields__:
            ignored[given] = None
        elif value is not None:
            known[name] = dict(value) if isinstance(value, _Pairs) else value
    return known, tuple(ignored)


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
        f"invalid name {name[:80]!r}: 1 to 64 of A-Z a-z 0-9 _ . -, not . or - first, are allowed"
    )


def _within(member: str, value: int, most: int) -> int:
    if 0 <= value <= most:
        return value
    raise InvalidSpec(f"invalid {member} {value}: 0 to {most} is allowed")
