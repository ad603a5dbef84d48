"""A request, accepted or refused at the end of its headers, before a byte of its body is read.

Twisted would buffer any body completely before it calls a resource. Here the body of an upload is
written to disk as it is received; other bodies are small and are buffered.
"""

from __future__ import annotations

from functools import partial
from io import BytesIO
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import server
from twisted.web.http import NOT_FOUND, UNAUTHORIZED

from goloagent.artifacts.upload_space import NoSpace
from goloagent.http.auth.logout import LOGOUT_PATH, logged_out
from goloagent.http.problem import Problem, disk_problem, not_found
from goloagent.http.server.connections import too_many_connections
from goloagent.http.server.context import UPLOAD_PATH, RequestContext
from goloagent.http.server.query import parse_query
from goloagent.http.server.response import json_body, problem_response
from goloagent.http.upload.form import UploadBody, is_program
from goloagent.http.upload.pipeline import BLOCK_BYTES, UploadPipeline

HEALTH_PATH = b"/health"
_Query = TypeVar("_Query", bound=msgspec.Struct)


class Request(server.Request):
    """A request to the agent of `context`; its body goes to `upload` or is `buffered`.

    Attributes:
        body_bytes: the number of received bytes of the body.
        status_only: whether its client may know only whether the agent is ready.
    """

    defaultContentType = None
    channel: Any
    _log = Logger()

    def __init__(self, context: RequestContext, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._context = context
        self._max_bytes = context.max_request_bytes
        self._length: int | None = 0
        self._is_refused = False
        self.body_bytes = 0
        self.status_only = False
        self.buffered = BytesIO()
        self.upload: UploadPipeline | None = None

    @property
    def line(self) -> str:
        """The method and the decoded path, for logs."""
        path = unquote_to_bytes(self.path).decode("utf-8", "surrogateescape")
        return f"{self.method.decode('latin-1')} {path}"

    def gotLength(self, length: int | None) -> None:
        """Accept or refuse the request; `length` is None for a chunked body."""
        # Twisted sets these after the body, and has no public attribute for them before.
        channel = self.channel
        self.method, self.uri, self.clientproto = channel._command, channel._path, channel._version
        self.path = self.uri.partition(b"?")[0]
        self.content = self.buffered
        self._length = length
        try:
            self._authorize()
        except Problem as problem:
            self.reject(problem)

    def handleContentChunk(self, data: bytes) -> None:
        """Process bytes of the body."""
        self.body_bytes += len(data)
        if self._is_refused:
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
        """Discard the upload."""
        if self.upload is not None:
            self.upload.discard()
        super().connectionLost(reason)

    def processingFailed(self, reason: Failure) -> Failure:
        """Log the failure, and respond 500 without details."""
        self._log.failure("request failed: {request}", reason, request=self.line)
        if self.startedWriting:
            self.abort()
        else:
            self.write(problem_response(self, Problem(500, "internal error")))
            self.finish()
        return reason

    def getRequestHostname(self) -> bytes:
        """Return a constant: Klein passes it to the router, which fails for some Host headers."""
        return b"localhost"

    def abort(self) -> None:
        """Abort the connection, so that its client does not take the response for complete."""
        self.channel.transport.abortConnection()

    def reject(self, problem: Problem) -> None:
        """Respond at once, and discard the rest of the body."""
        if self._is_refused:
            return
        self._is_refused = True
        if self.upload is not None:
            self.upload.discard()
        # Otherwise Twisted would send "100 Continue" after the response.
        self.requestHeaders.removeHeader(b"Expect")
        self.setHeader(b"Connection", b"close")
        self.write(problem_response(self, problem))
        # Not finish(), which would make Twisted parse the rest of the body as another request.
        self.channel.discard(None if self._length is None else self._length - self.body_bytes)

    def json_response(self, status: int, value: Any) -> bytes:
        """Set the status and headers of a JSON response and return its body."""
        body = json_body(value)
        self.setResponseCode(status)
        self.setHeader(b"Content-Type", b"application/json")
        self.setHeader(b"Content-Length", b"%d" % len(body))
        return body

    def audit(self, action: str, **details: object) -> None:
        """Log an action of this request's client to the audit log."""
        self._context.audit.record(action, self._host, **details)

    def audit_refusal(self, problem: Problem) -> None:
        """Log a refusal to the audit log; 404 is none."""
        if problem.status != NOT_FOUND:
            self._context.audit.record_refusal(
                self._host, problem.status, problem.detail, self.line
            )

    def query(self, kind: type[_Query]) -> _Query:
        """Return the query parameters as `parse_query` does."""
        return parse_query(self.args or {}, kind)

    def was_paused(self) -> bool:
        """Return whether reading the body was paused since the last call."""
        return self.upload is not None and self.upload.was_paused()

    def require_capacity(self) -> None:
        """Refuse a long request on a connection that exceeds the limits.

        Raises:
            Problem: this is one.
        """
        if self.channel.exceeded is not None:
            raise too_many_connections(self.channel.exceeded)

    def _authorize(self) -> None:
        """Check the headers, and prepare for the body.

        Raises:
            Problem: the request is refused.
        """
        self._check_access()
        hosts = len(self.header_values("Host"))
        if hosts > 1 or (hosts == 0 and self.clientproto != b"HTTP/1.0"):
            raise Problem(400, "exactly one Host header is required")
        path = unquote_to_bytes(self.path)
        if not path.startswith(b"/"):  # such as http://host/path, which has its own host
            raise Problem(400, "the request's target must be a path")
        # Klein would redirect such paths to known ones, or treat them as equal.
        if b"//" in path or path != path.decode("utf-8", "ignore").encode():
            raise not_found(self.path)
        if self._length != 0:
            self._context.check_route(self.method, self.path)
        is_upload = path == UPLOAD_PATH and self.method.upper() == b"POST"
        if is_upload:
            self._max_bytes = self._context.max_upload_bytes
        self._check_length(self._length or 0)
        if is_upload:
            self.require_capacity()
            self.upload = self._begin_upload(self._length or 0)

    def _check_access(self) -> None:
        access = self._context.access
        try:
            access.check(self._host, self.header_values)
        except Problem as problem:
            is_read = self.method in (b"GET", b"HEAD")
            if is_read and self.path == LOGOUT_PATH and problem.status == UNAUTHORIZED:
                raise logged_out() from None
            is_status = is_read and self.path == HEALTH_PATH
            if not (is_status and access.allows_status(self._host, self.header_values)):
                raise
            self.status_only = True
        self.channel.admit(trusted=access.token is not None and not self.status_only)

    def _begin_upload(self, length: int) -> UploadPipeline:
        """Prepare for an upload with this Content-Length, or 0.

        Raises:
            Problem: its media type is unsupported, or there is too little free space.
        """
        content_type = "".join(self.header_values("Content-Type")[:1])
        body = UploadBody(content_type, self._context.artifacts, is_program(self.uri))
        if length:  # a large block of small chunks would take the parser a second
            self.channel.set_read_size(BLOCK_BYTES)
        reserve = partial(self._context.upload_space.reserve, length)
        try:
            return UploadPipeline(
                body,
                self._context.in_thread,
                self.channel.pause_body,
                self._on_upload_failed,
                reserve,
            )
        except (OSError, NoSpace) as error:
            raise disk_problem(error) from error

    def _on_upload_failed(self, failure: Failure) -> None:
        if isinstance(failure.value, Problem):
            self.reject(failure.value)
        elif isinstance(failure.value, NoSpace):
            self.reject(disk_problem(failure.value))
        else:
            self._log.failure("an upload failed", failure)
            self.reject(Problem(500, "internal error"))

    @property
    def _host(self) -> str | None:
        """The client's IP address, None for a Unix socket."""
        return self.client.host if isinstance(self.client, IPv4Address | IPv6Address) else None

    def _check_length(self, length: int) -> None:
        if length > self._max_bytes:
            raise Problem(413, f"the request body is longer than {self._max_bytes} bytes")

    def header_values(self, name: str) -> list[str]:
        """Return the values of a header, which may have any bytes."""
        values = self.requestHeaders.getRawHeaders(name.encode(), [])
        return [value.decode("latin-1") for value in values]
