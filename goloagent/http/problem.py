"""Errors of the API: one exception, rendered as plain text or as problem details (RFC 9457).

Plain text is the default because the go-lo agent of 2018 sent it and its clients print it.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

import attrs
import msgspec

from goloagent.artifacts.upload_space import NoSpace
from goloagent.core.host_fault import DISK_FULL, NO_INODES
from goloagent.filesystem.disk_space import is_full

RETRY_AFTER_SECONDS = 5
MAX_PHRASE_CHARS = 200
_JSON_RANGES = frozenset({"application/json", "application/problem+json", "application/*"})

Headers = Mapping[str, str | tuple[str, ...]]
"""Headers by name; a tuple is sent as several lines."""


@attrs.frozen
class Problem(Exception):
    """An error response: its status, its reason as a sentence, and further headers.

    Attributes:
        page: the body in HTML for browsers, empty if they get the reason as text.
    """

    status: int
    detail: str
    headers: Headers = attrs.field(factory=dict)
    page: str = ""


class ProblemDetails(msgspec.Struct, frozen=True):
    """Problem details of RFC 9457; ``detail`` is a sentence."""

    type: str
    title: str
    status: int
    detail: str


def render(problem: Problem, accept: Sequence[str]) -> tuple[Headers, bytes]:
    """Return the headers and the body of `problem` for a client with these ``Accept`` headers.

    The body is JSON if they name a JSON type, whatever its weight; ``*/*`` does not. It is the
    page of the problem, if there is one, if they name HTML.
    """
    ranges = {part.partition(";")[0].strip().lower() for line in accept for part in line.split(",")}
    if ranges & _JSON_RANGES:
        content_type = "application/problem+json"
        details = ProblemDetails(
            type="about:blank",
            title=HTTPStatus(problem.status).phrase,
            status=problem.status,
            detail=problem.detail,
        )
        body = msgspec.json.encode(details)
    elif problem.page and "text/html" in ranges:
        content_type = "text/html; charset=utf-8"
        body = problem.page.encode()
    else:
        content_type = "text/plain; charset=utf-8"
        body = f"{problem.detail}\n".encode()
    headers: Headers = {
        "Content-Type": content_type,
        "Content-Length": str(len(body)),
        "X-Content-Type-Options": "nosniff",
        **problem.headers,
    }
    return headers, body


def reason_phrase(problem: Problem) -> str:
    """Return the standard reason phrase and the detail, for the status line.

    Some clients, such as golo-cli, print the status line and not the body.
    """
    detail = problem.detail.encode("ascii", "replace").decode()[:MAX_PHRASE_CHARS]
    plain = "".join(char if char.isprintable() else " " for char in detail)
    return f"{HTTPStatus(problem.status).phrase}: {plain}".rstrip()


def not_found(path: bytes) -> Problem:
    """Return the 404 of a percent-encoded path."""
    return Problem(404, f"{quoted(unquote_to_bytes(path))} does not exist")


def disk_full() -> Problem:
    """Return the error that the agent's disk is full."""
    return Problem(507, "the agent's disk is full: remove files from it, or lower --min-free")


def disk_fault(status: str) -> Problem:
    """Return the error for a fault of the agent's disk, by its status in ``/health``."""
    if status == DISK_FULL:
        return disk_full()
    if status == NO_INODES:
        return Problem(507, "the agent's disk has no inodes left: remove files from it")
    return _unavailable(f"the agent cannot use its disk: {status}; see /health")


def disk_problem(error: OSError | NoSpace) -> Problem:
    """Return the error for one of the agent's own disk, without a path."""
    if isinstance(error, NoSpace):
        return Problem(507, str(error))
    if is_full(error):
        return disk_full()
    if error.errno == errno.EBUSY:
        return _unavailable("another process has locked the agent's database")
    return _unavailable(f"the agent cannot use its disk: {os.strerror(error.errno or errno.EIO)}")


def _unavailable(detail: str) -> Problem:
    return Problem(503, detail, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def quoted(text: bytes) -> str:
    """Return `text` as a JSON string, in ASCII if it has unprintable characters."""
    decoded = text.decode("utf-8", "surrogateescape")
    return json.dumps(decoded, ensure_ascii=not decoded.isprintable())
