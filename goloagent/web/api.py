"""The routes: each takes a request apart, asks one collaborator, and answers.

One class holds them all, so that this page is the map of the API; what takes more than a few lines
(a body that streams, a resource's shape) has a module of its own beside it. Does not run jobs:
`submit` says that one is there.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import uuid4

import attrs
from klein import Klein
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from goloagent.jobs.job import Job
from goloagent.jobs.spec import InvalidSpec, parse
from goloagent.jobs.store import Store
from goloagent.space import is_full
from goloagent.web.health import DISK_FULL, Health
from goloagent.web.problem import Problem, not_found, quoted
from goloagent.web.request import Request, answer
from goloagent.web.resource import job_resource

QUEUE_LIMIT = 32
RETRY_AFTER_SECONDS = 30

_log = Logger()


@attrs.frozen
class Api:
    """The API over `store`; `submit` is told of each new job, `now` and `health` are asked.

    `in_thread` runs a function off the reactor thread.
    """

    store: Store
    submit: Callable[[Job], None]
    now: Callable[[], datetime]
    health: Callable[[], Health]
    in_thread: Callable[[Callable[[], None]], Awaitable[None]]

    app = Klein()

    @app.route("/upload", methods=["POST"])
    async def post_upload(self, request: Request) -> bytes:
        """Make the upload a binary; once answered 200 it is on disk."""
        assert request.upload is not None, "every POST /upload streams"
        await self.in_thread(request.upload.sync)
        binary = request.upload.finish()
        await self.in_thread(request.upload.sync_name)
        return _json(request, 200, {"binary": binary.id})

    @app.route("/queue", methods=["POST"])
    def post_queue(self, request: Request) -> bytes:
        """Queue a job; once answered 201 it is kept."""
        _refuse_forms(request)
        try:
            spec = parse(request.buffered.getvalue())
        except InvalidSpec as error:
            raise Problem(400, str(error)) from None
        if self.store.binary(spec.binary) is None:
            raise Problem(400, f"{spec.binary} is an invalid binary")
        if len(self.store.queued()) >= QUEUE_LIMIT:
            raise Problem(
                503,
                f"the queue is full: {QUEUE_LIMIT} jobs are waiting",
                {"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
        health = self.health()
        if health.status == DISK_FULL:
            raise Problem(507, health.reason or health.status)
        job = Job(id=str(uuid4()), spec=spec, queued_at=self.now())
        self.store.add(job)
        self.submit(job)
        request.responseHeaders.setRawHeaders("Location", [f"/jobs/{job.id}"])
        return _json(request, 201, {"queued": True, "id": job.id})

    @app.route("/jobs/<job_id>", methods=["GET"])
    def get_job(self, request: Request, job_id: str) -> bytes:
        """Show a job."""
        job = self.store.get(job_id)
        if job is None:
            raise not_found(request.path)
        return _json(request, 200, job_resource(job))

    @app.route("/health", methods=["GET"])
    def get_health(self, request: Request) -> bytes:
        """Say whether the agent takes jobs, and why not."""
        health = self.health()
        return _json(request, 200 if health.ready else 503, attrs.asdict(health))

    @app.handle_errors(Exception)
    def failed(self, request: IRequest, failure: Failure) -> bytes:
        """Answer for whatever a route, or the search for one, raised."""
        return answer(request, _problem(request, failure))


def _json(request: IRequest, status: int, value: dict[str, Any]) -> bytes:
    """Prepare a JSON answer and return its body, spaced as the Go agent's answers were."""
    body = json.dumps(value).encode()
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return body


def _refuse_forms(request: Request) -> None:
    """Refuse what a web page can send unasked. golo-cli sends no type at all, and means JSON."""
    media_type = (request.getHeader(b"Content-Type") or b"").partition(b";")[0].strip().lower()
    if (
        media_type.startswith((b"text/", b"multipart/"))
        or media_type == b"application/x-www-form-urlencoded"
    ):
        raise Problem(415, f"Content-Type {quoted(media_type)} is not JSON")


def _problem(request: IRequest, failure: Failure) -> Problem:
    error = failure.value
    if isinstance(error, Problem):
        return error
    if isinstance(error, MethodNotAllowed):
        allow = ", ".join(sorted(error.valid_methods or ()))
        return Problem(405, f"Method {quoted(request.method)} is not supported", {"Allow": allow})
    if isinstance(error, OSError):
        _log.error("{method} {uri}: {error}", method=request.method, uri=request.uri, error=error)
        return Problem(507 if is_full(error) else 503, error.strerror or str(error))
    if isinstance(
        error, HTTPException
    ):  # the router's: no such path, or one that it would redirect
        return not_found(request.path)
    _log.failure("request failed: {method} {uri}", failure, method=request.method, uri=request.uri)
    return Problem(500, "internal error")
