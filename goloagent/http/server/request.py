"""A request, let in or turned away at the end of its headers: before a byte of its body is read.

Twisted would read any body to its end, whoever sent it and however long, before it asks a resource.
Here the headers decide; an upload's bytes then go to disk as they come, every other body is small.
Knows HTTP/1.1 as Twisted speaks it; does not know what routes there are, apart from the one whose
body streams.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import attrs
import msgspec
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import server
from twisted.web.http import NOT_FOUND

from goloagent.artifacts.store import ArtifactStore
from goloagent.artifacts.upload_space import NoSpace, UploadSpace
from goloagent.http.auth.access import AccessPolicy
from goloagent.http.auth.audit import Audit
from goloagent.http.problem import (
    Problem,
    disk_problem,
    not_found,
    quoted,
    reason_phrase,
    render,
)
from goloagent.http.server.connections import too_many_connections
from goloagent.http.upload.form import UploadBody
from goloagent.http.upload.pipeline import BLOCK_BYTES, UploadPipeline
from goloagent.jobs.spec import MAX_REQUEST_BYTES

UPLOAD_PATH = b"/upload"
HEALTH_PATH = b"/health"
_Query = TypeVar("_Query", bound=msgspec.Struct)


@attrs.frozen
class RequestContext:
    """What a request must pass: who may, how long a body may be, and where it is noted.

    `check_route` raises the Problem that a path has no such method, or does not exist. `in_thread`
    runs a function off the reactor thread; `uploaded` is told of the bytes of uploads as they come.
    """

    access: AccessPolicy
    check_route: Callable[[bytes, bytes], None]
    artifacts: ArtifactStore
    max_upload_bytes: int
    audit: Audit
    in_thread: Callable[..., Deferred[Any]]
    on_upload_bytes: Callable[[int], None] = lambda count: None
    upload_space: UploadSpace = attrs.field(factory=lambda: UploadSpace(lambda: sys.maxsize))


def json_body(value: Any) -> bytes:
    """Return a value as JSON, spaced as the Go agent's answers were."""
    return msgspec.json.format(msgspec.json.encode(value), indent=0)


class Request(server.Request):
    """One request through `door`; its body goes to `intake` or is `buffered`.

    `body_bytes` have come of the body. `status_only` says that its client may know whether the
    agent is ready, and nothing else.
    """

    defaultContentType = None
    _log = Logger()

    def __init__(self, door: RequestContext, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._context = door
        self._max_bytes = MAX_REQUEST_BYTES
        self.body_bytes = 0
        self._length: int | None = 0
        self._refused = False
        self.status_only = False
        self.buffered = BytesIO()
        self.upload: UploadPipeline | None = None

    def gotLength(self, length: int | None) -> None:
        """Decide at the end of the headers; `length` is None for a chunked body."""
        # Twisted hands these over after the body, and has no public place for them before.
        channel: Any = self.channel
        self.method, self.uri, self.clientproto = channel._command, channel._path, channel._version
        self.path = self.uri.partition(b"?")[0]
        self.content = self.buffered
        self._length = length
        try:
            self._authorize()
        except Problem as problem:
            self.reject(problem)

    def handleContentChunk(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        self.body_bytes += len(data)
        if self._refused:
            return
        try:
            self._check_length(self.body_bytes)
            if self.upload is not None:
                self._context.on_upload_bytes(len(data))
                self.upload.write(data)
            else:
                super().handleContentChunk(data)
        except Problem as problem:
            self.reject(problem)
        except (OSError, NoSpace) as error:
            self.reject(disk_problem(error))

    def connectionLost(self, reason: Failure) -> None:
        """Leave nothing behind when the client has gone."""
        if self.upload is not None:
            self.upload.discard()
        super().connectionLost(reason)

    def processingFailed(self, reason: Failure) -> Failure:
        """Answer 500 without saying why, and log why."""
        self._log.failure(
            "request failed: {method} {uri}", reason, method=self.method, uri=self.uri
        )
        if self.startedWriting:
            self.abort()
        else:
            self.write(problem_response(self, Problem(500, "internal error")))
            self.finish()
        return reason

    def abort(self) -> None:
        """Drop the connection within an answer: its client must not take it for complete."""
        channel: Any = self.channel
        channel.transport.abortConnection()

    def json_response(self, status: int, value: Any) -> bytes:
        """Prepare a JSON answer and return its body."""
        body = json_body(value)
        self.setResponseCode(status)
        self.setHeader(b"Content-Type", b"application/json")
        self.setHeader(b"Content-Length", b"%d" % len(body))
        return body

    def audit(self, act: str, **details: object) -> None:
        """Note what was done for this request's peer."""
        self._context.audit.record(act, self._peer(), **details)

    def audit_refusal(self, problem: Problem) -> None:
        """Note that it is answered with `problem`. Not finding anything is no refusal."""
        if problem.status == NOT_FOUND:
            return
        method = self.method.decode("latin-1")
        path = unquote_to_bytes(self.path).decode("utf-8", "surrogateescape")
        self._context.audit.record_refusal(
            self._peer(), problem.status, problem.detail, f"{method} {path}"
        )

    def query(self, kind: type[_Query]) -> _Query:
        """Return the query's parameters.

        Raises:
            Problem: one is unknown, stands there twice, or is out of its bounds.
        """
        given: dict[str, str] = {}
        for name, values in (self.args or {}).items():
            if len(values) > 1:
                raise Problem(400, f"{quoted(name)} stands more than once in the query")
            given[name.decode("utf-8", "replace")] = values[0].decode("utf-8", "replace")
        try:
            query = msgspec.convert(given, kind, strict=False)
        except msgspec.ValidationError as error:
            raise Problem(400, f"invalid query: {error}") from None
        for field in msgspec.structs.fields(kind):
            # To msgspec the text "null" is None where None is allowed, which here is: not given.
            if field.encode_name in given and getattr(query, field.name) is None:
                raise Problem(400, f"invalid query: null is no value of {field.encode_name}")
        return query

    def getRequestHostname(self) -> bytes:
        """Return one name whatever Host says: Klein gives it to the router, which fails on some."""
        return b"localhost"

    def was_paused(self) -> bool:
        """Tell whether its body was left unread for a time, since this was last asked."""
        return self.upload is not None and self.upload.was_paused()

    def require_capacity(self) -> None:
        """Refuse what takes long on a connection beyond the bounds.

        Raises:
            Problem: this is one.
        """
        channel: Any = self.channel
        if channel.exceeded is not None:
            raise too_many_connections(channel.exceeded)

    def _authorize(self) -> None:
        """Prepare for the body.

        Raises:
            Problem: the request is turned away.
        """
        self._check_access()
        hosts = len(self._header("Host"))
        if hosts > 1 or (hosts == 0 and self.clientproto != b"HTTP/1.0"):
            raise Problem(400, "exactly one Host header is required")
        path = unquote_to_bytes(self.path)
        if not path.startswith(b"/"):  # among them http://host/path, which has a host of its own
            raise Problem(400, "the request's target must be a path")
        # Klein would redirect several such paths to one that it knows, or take them for it.
        if b"//" in path or not _is_utf8(path):
            raise not_found(self.path)
        if self._length != 0:
            self._context.check_route(self.method, self.path)
        is_upload = path == UPLOAD_PATH and self.method.upper() == b"POST"
        if is_upload:
            self._max_bytes = self._context.max_upload_bytes
        self._check_length(self._length or 0)
        if is_upload:
            self.require_capacity()
            self.upload = self._make_intake(self._length or 0)

    def _check_access(self) -> None:
        access = self._context.access
        channel: Any = self.channel
        try:
            access.check(self._peer(), self._header)
        except Problem:
            if not (
                self.path == HEALTH_PATH
                and self.method in (b"GET", b"HEAD")
                and access.allows_status(self._peer(), self._header)
            ):
                raise
            self.status_only = True
            channel.admit(trusted=False)
        else:
            channel.admit(trusted=access.token is not None)

    def _make_intake(self, length: int) -> UploadPipeline:
        """Prepare for an upload that has announced so many bytes.

        Raises:
            Problem: its body is of no such type, or the disk has no room for it.
        """
        upload = UploadBody("".join(self._header("Content-Type")[:1]), self._context.artifacts)
        channel: Any = self.channel
        if length:  # a large block of small chunks would take the parser a second
            channel.set_read_size(BLOCK_BYTES)
        reserve = partial(self._context.upload_space.reserve, length)
        try:
            return UploadPipeline(
                upload, self._context.in_thread, channel.body, self._not_taken_in, reserve
            )
        except (OSError, NoSpace) as error:
            raise disk_problem(error) from error

    def _not_taken_in(self, failure: Failure) -> None:
        if isinstance(failure.value, Problem):
            self.reject(failure.value)
        elif isinstance(failure.value, NoSpace):
            self.reject(disk_problem(failure.value))
        else:
            self._log.failure("an upload failed", failure)
            self.reject(Problem(500, "internal error"))

    def _peer(self) -> str | None:
        return self.client.host if isinstance(self.client, IPv4Address | IPv6Address) else None

    def _check_length(self, length: int) -> None:
        if length > self._max_bytes:
            raise Problem(413, f"the request body is longer than {self._max_bytes} bytes")

    def _header(self, name: str) -> list[str]:
        values = self.requestHeaders.getRawHeaders(name.encode(), [])
        return [value.decode("latin-1") for value in values]

    def reject(self, problem: Problem) -> None:
        """Answer at once, and discard what the client is still sending."""
        if self._refused:
            return
        self._refused = True
        if self.upload is not None:
            self.upload.discard()
        # Twisted would send "100 Continue" behind the answer.
        self.requestHeaders.removeHeader(b"Expect")
        self.setHeader(b"Connection", b"close")
        self.write(problem_response(self, problem))
        # Not finish(): that would make Twisted expect another request while this body may go on.
        channel: Any = self.channel
        channel.discard(None if self._length is None else self._length - self.body_bytes)


def problem_response(request: Request, problem: Problem) -> bytes:
    """Note `problem`, set its status and headers on `request`, and return the body to write."""
    accept = request.requestHeaders.getRawHeaders(b"Accept", [])
    request.audit_refusal(problem)
    headers, body = render(problem, [line.decode("latin-1") for line in accept])
    phrase = reason_phrase(problem).encode() if request.path == UPLOAD_PATH else None
    request.setResponseCode(problem.status, phrase)
    for name, value in headers.items():
        lines = [value] if isinstance(value, str) else value
        request.responseHeaders.setRawHeaders(name, lines)
    return body


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
