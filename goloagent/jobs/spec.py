"""The body of ``POST /queue``, parsed into a validated `JobSpec`. Pure.

As in Go's encoding/json a missing number is zero, null is missing, and names ignore case.
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
    description="seconds",
    extra_json_schema={"minimum": 0, "maximum": MAX_DURATION_SECONDS},
)


class InvalidSpec(Exception):
    """The request is not a valid job; the message is for the client."""


@attrs.frozen
class JobSpec:
    """A requested job: `users` calls in flight for `duration_seconds`."""

    name: str
    users: int
    duration_seconds: int
    binary: str


class JobRequest(msgspec.Struct):
    """The JSON object of ``POST /queue``; the response names unknown members."""

    name: Annotated[str | None, _NAME_IS] = None
    users: Annotated[int | None, _USERS_ARE] = None
    duration: Annotated[int | None, _DURATION_IS] = None
    binary: str | None = None


def parse(body: bytes) -> tuple[JobSpec, tuple[str, ...]]:
    """Parse the body; return the job and the names of unknown members.

    Raises:
        InvalidSpec: the body is not such an object, or a member is out of bounds.
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
    spec = JobSpec(
        name=_name(request.name or DEFAULT_NAME),
        users=_within("users", request.users or 0, MAX_USERS) or DEFAULT_USERS,
        duration_seconds=_within("duration", request.duration or 0, MAX_DURATION_SECONDS),
        binary=request.binary or "",
    )
    return spec, ignored


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
        f"invalid name {json.dumps(name[:80])}: 1 to 64 of A-Z a-z 0-9 _ . -, not . or - first,"
        " are allowed"
    )


def _within(member: str, value: int, most: int) -> int:
    if 0 <= value <= most:
        return value
    raise InvalidSpec(f"invalid {member} {value}: 0 to {most} is allowed")
