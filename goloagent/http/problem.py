"""What the agent answers when it does not do what it was asked: one exception for all of `web`.

Errors are plain text, as Go's ``http.Error`` writes them, because clients of the Go agent print
them; whoever accepts JSON gets problem details (RFC 9457). Does not know why something is refused.
"""

from __future__ import annotations

import errno
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
_ESCAPES = {
    char: f"\\{letter}" for char, letter in zip('\a\b\f\n\r\t\v\\"', 'abfnrtv\\"', strict=True)
}


@attrs.frozen
class Problem(Exception):
    """An answer that is no success: its status, a sentence for people, and headers of its own.

    A header of several values takes as many lines.
    """

    status: int
    detail: str
    headers: Mapping[str, str | tuple[str, ...]] = attrs.field(factory=dict)


class ProblemDetails(msgspec.Struct, frozen=True):
    """RFC 9457: what went wrong, as ``detail`` says in a sentence."""

    type: str
    title: str
    status: int
    detail: str


def render(
    problem: Problem, accept: Sequence[str]
) -> tuple[dict[str, str | tuple[str, ...]], bytes]:
    """Return the headers and the body of `problem` for a client that sent these ``Accept`` headers.

    Naming a JSON type asks for JSON, whatever its weight; ``*/*`` does not.
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
    else:
        content_type = "text/plain; charset=utf-8"
        body = f"{problem.detail}\n".encode()
    headers: dict[str, str | tuple[str, ...]] = {
        "Content-Type": content_type,
        "Content-Length": str(len(body)),
        "X-Content-Type-Options": "nosniff",
        **problem.headers,
    }
    return headers, body


def reason_phrase(problem: Problem) -> str:
    """Return the phrase for the status line: the standard one, and the sentence behind it.

    Some clients, golo-cli among them, show the status line and not the body.
    """
    sentence = problem.detail.encode("ascii", "replace").decode()[:MAX_PHRASE_CHARS]
    plain = "".join(char if char.isprintable() else " " for char in sentence)
    return f"{HTTPStatus(problem.status).phrase}: {plain}".rstrip()


def not_found(path: bytes) -> Problem:
    """Return the problem that there is nothing at `path`, given percent-encoded."""
    return Problem(404, f"{quoted(unquote_to_bytes(path))} does not exist")


def disk_full() -> Problem:
    """Return the problem that the agent's disk has no room."""
    return Problem(507, "the agent's disk is full: remove files from it, or lower --min-free")


def disk_fault(status: str) -> Problem:
    """Return the problem that a fault of the agent's disk, by its status in ``/health``, is."""
    if status == DISK_FULL:
        return disk_full()
    if status == NO_INODES:
        return Problem(507, "the agent's disk has no inodes left: remove files from it")
    sentence = f"the agent's disk does not take it: {status}; see /health"
    return Problem(503, sentence, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def disk_problem(error: OSError | NoSpace) -> Problem:
    """Return what a client is told of an error of the agent's own disk: no path."""
    if isinstance(error, NoSpace):
        return Problem(507, str(error))
    if is_full(error):
        return disk_full()
    if error.errno == errno.EBUSY:
        sentence = "another process has locked the agent's database"
    else:
        sentence = f"the agent's disk does not take it: {os.strerror(error.errno or errno.EIO)}"
    return Problem(503, sentence, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def quoted(text: bytes) -> str:
    """Return `text` in double quotes, escaped as Go's ``%q`` does."""
    return f'"{"".join(map(_escaped, text.decode("utf-8", "surrogateescape")))}"'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # how surrogateescape keeps a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
