"""The endpoint that queues a job."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

import attrs
from msgspec import Struct

from goloagent.core import trace_context
from goloagent.core.host_fault import DISK_FAULTS
from goloagent.core.job_members import FEATURES
from goloagent.core.job_spec import InvalidSpec, JobRequest, JobSpec, parse
from goloagent.host.readiness import Health
from goloagent.http.api.committer import Committer
from goloagent.http.api.endpoint import Body, Response, endpoint
from goloagent.http.problem import Problem, disk_fault, quoted
from goloagent.http.server.request import Request
from goloagent.jobs.database import Store
from goloagent.jobs.job import Job
from goloagent.jobs.repository import JobRepository

QUEUE_LIMIT = 32
RETRY_AFTER_SECONDS = 30
MAX_FILES_BYTES = 1024**3
"""Of the files of one job together, before they are split."""


class Queued(Struct, frozen=True, omit_defaults=True):
    """A queued job; `ignored` are the unknown members of the request."""

    queued: bool
    id: str
    ignored: tuple[str, ...] = ()


@attrs.frozen
class QueueRoutes:
    """``/queue``: jobs are added to `jobs`, whose binaries are in `store`.

    Args:
        submit: called after each new job.
        cancel: cancels a queued job.
        outputs: the names of the agent's outputs.
    """

    store: Store
    jobs: JobRepository
    committer: Committer
    submit: Callable[[], None]
    cancel: Callable[[Job], bool]
    now: Callable[[], datetime]
    health: Callable[[], Health]
    outputs: tuple[str, ...]

    @endpoint(
        "POST",
        "/queue",
        {201: Response("The job is queued.", Queued, headers={"Location": "The path of the job."})},
        body=Body(JobRequest, schema={"required": ["binary"]}),
        errors={
            400: "The body is no such job, it names a missing binary or output, or its files are "
            "too large.",
            413: "The body is longer than 256 KiB.",
            415: "The body is a form or text.",
            422: "The agent lacks a feature that the header Golo-Requires names.",
            503: "The queue is full, or the agent cannot use its disk; retry after Retry-After.",
            507: "The disk is full.",
        },
    )
    async def post_queue(self, request: Request) -> bytes:
        """Queue a job, durable with the response 201.

        The header `traceparent` (W3C Trace Context) is given to the load test and to outputs.
        """
        _refuse_forms(request)
        _check_features(request)
        try:
            spec, ignored = parse(request.buffered.getvalue())
        except InvalidSpec as error:
            raise Problem(400, str(error)) from None
        self._check_outputs(spec)
        spec = spec.with_trace(_traceparent(request))
        await self.committer.writable()
        self._check_binaries(spec)
        if len(self.store.queued()) >= QUEUE_LIMIT:
            raise Problem(
                503,
                f"the queue is full: {QUEUE_LIMIT} jobs are waiting",
                {"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
        health = self.health()
        if health.status in DISK_FAULTS:
            raise disk_fault(health.status)
        job = Job(id=str(uuid4()), spec=spec, queued_at=self.now())
        self.jobs.add(job)
        # Before waiting, because a disconnect cancels the request.
        request.audit(
            "queue",
            job=job.id,
            name=spec.name,
            binary=spec.binary,
            users=spec.users,
            duration=spec.duration_seconds,
        )
        try:
            await self.committer.commit()
        except OSError:
            # The client gets an error, and may queue the job again.
            self.cancel(job)
            raise
        finally:
            self.submit()
        request.responseHeaders.setRawHeaders("Location", [f"/jobs/{job.id}"])
        return request.json_response(201, Queued(queued=True, id=job.id, ignored=ignored))

    def _check_outputs(self, spec: JobSpec) -> None:
        for name in spec.outputs or ():
            if name not in self.outputs:
                raise Problem(
                    400,
                    f"outputs: this agent has no output {quoted(name[:80].encode())}; it has "
                    f"{', '.join(self.outputs) or 'none (--collector none)'}",
                )

    def _check_binaries(self, spec: JobSpec) -> None:
        if self.store.binary(spec.binary) is None:
            raise Problem(400, f"{spec.binary} is an invalid binary")
        size = 0
        for file in spec.given.files:
            binary = self.store.binary(file.binary)
            if binary is None:
                shown = quoted(file.binary[:80].encode())
                raise Problem(
                    400, f"files: there is no binary {shown} for {file.name}: upload it first"
                )
            size += binary.size
        if size > MAX_FILES_BYTES:
            raise Problem(
                400, f"files have {size} bytes: at most {MAX_FILES_BYTES} bytes are allowed"
            )


def _refuse_forms(request: Request) -> None:
    """Refuse types that web pages can send without CORS (CSRF); golo-cli sends none for JSON."""
    media_type = (request.getHeader(b"Content-Type") or b"").partition(b";")[0].strip().lower()
    if (
        media_type.startswith((b"text/", b"multipart/"))
        or media_type == b"application/x-www-form-urlencoded"
    ):
        raise Problem(415, f"Content-Type {quoted(media_type)} is not JSON")


def _traceparent(request: Request) -> str:
    """Return the trace context of a request; an invalid one is ignored, as its standard says."""
    given = request.requestHeaders.getRawHeaders(trace_context.HEADER.encode()) or []
    return trace_context.parse_traceparent([value.decode("latin-1") for value in given])


def _check_features(request: Request) -> None:
    """Refuse a request whose client needs a feature that this agent lacks."""
    given = request.requestHeaders.getRawHeaders(b"Golo-Requires") or []
    required = {name.strip().lower() for name in b",".join(given).split(b",")} - {b""}
    lacking = sorted(required - {name.encode() for name in FEATURES})
    if lacking:
        raise Problem(
            422,
            f"this agent has no {', '.join(map(quoted, lacking))}: update it, or use a job without"
            f" (features: {', '.join(sorted(FEATURES))})",
        )
