"""The endpoints of binaries: upload, list, show, delete."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Annotated

import attrs
from msgspec import Meta, Struct

from goloagent.artifacts.store import ArtifactStore, BinaryNeeded
from goloagent.http.api.committer import Committer
from goloagent.http.api.endpoint import Body, Response, endpoint
from goloagent.http.problem import Problem, not_found, quoted
from goloagent.http.server.query import paginate
from goloagent.http.server.request import Request
from goloagent.http.upload.form import MAX_PARTS, UploadQuery
from goloagent.jobs.database import Binary

_SHA256_DIGITS = 64


class Uploaded(Struct, frozen=True):
    """The id of the new binary."""

    binary: str


class BinaryResource(Struct, frozen=True):
    """An uploaded load test; ``in_use`` while a queued or running job needs it.

    ``name`` is the name of the uploaded file, "" if it is unknown.
    """

    id: str
    name: str
    size: Annotated[int, Meta(ge=0)]
    sha256: str
    uploaded_at: datetime
    in_use: bool


class BinaryList(Struct, frozen=True):
    """A page of binaries, the newest first; ``next`` is the path of the next, or null."""

    binaries: list[BinaryResource]
    next: str | None


class BinaryQuery(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The page of a list."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    before: Annotated[str | None, Meta(description="id of a binary: list only older ones")] = None


_FORM = {
    "type": "object",
    "properties": {
        "file": {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "description": "an ELF file or a script that starts with #!, unless kind is file",
        },
    },
    "required": ["file"],
    "additionalProperties": {"type": "string"},
    "maxProperties": MAX_PARTS,
}


@attrs.frozen
class BinaryRoutes:
    """``/upload`` and ``/binaries``."""

    artifacts: ArtifactStore
    committer: Committer

    @endpoint(
        "POST",
        "/upload",
        {200: Response("The binary is on disk.", Uploaded)},
        query=UploadQuery,
        body=Body(media_type="multipart/form-data", schema=_FORM),
        errors={
            400: "There is no part `file`, or it is empty or no program.",
            413: "The binary is larger than --max-upload.",
            415: "The body is no form.",
            503: "The agent cannot use its disk; retry after Retry-After.",
            507: "The disk is full, or --max-binaries is exceeded by this and the needed binaries.",
        },
    )
    async def post_upload(self, request: Request) -> bytes:
        """Make the upload a binary, durable with the response 200."""
        assert request.upload is not None, "every POST /upload has one"
        binary = await request.upload.finish(self.committer.writable)
        # Before waiting, because a disconnect cancels the request.
        request.audit("upload", binary=binary.id, sha256=binary.sha256, bytes=binary.size)
        await self.committer.commit()
        return request.json_response(200, Uploaded(binary.id))

    @endpoint(
        "GET",
        "/binaries",
        {200: Response("The binaries.", BinaryList)},
        query=BinaryQuery,
        errors={400: "A query parameter is unknown or out of its bounds."},
    )
    def get_binaries(self, request: Request) -> bytes:
        """List binaries, the newest first."""
        query, store = request.query(BinaryQuery), self.artifacts.store
        if query.before is not None and store.binary(query.before) is None:
            raise Problem(400, f"before: there is no binary {quoted(query.before.encode())}")
        found = store.binaries(query.limit + 1, query.before)
        page, following = paginate("/binaries", query, found)
        return request.json_response(200, BinaryList(self._resources(page), following))

    @endpoint(
        "GET",
        "/binaries/<binary_id>",
        {
            200: Response(
                "The binary.",
                BinaryResource,
                headers={"Content-Location": "The path of the binary by its id."},
            )
        },
        errors={404: "There is no such binary."},
    )
    def get_binary(self, request: Request, binary_id: str) -> bytes:
        """Show a binary by its id, or the newest with a content by its SHA-256 of 64 digits.

        A client that finds its binary can queue jobs with the id, without an upload.
        """
        if len(binary_id) == _SHA256_DIGITS:
            found = next(iter(self.artifacts.store.binaries(1, sha256=binary_id.lower())), None)
        else:
            found = self.artifacts.store.binary(binary_id)
        if found is None:
            raise not_found(request.path)
        request.responseHeaders.setRawHeaders("Content-Location", [f"/binaries/{found.id}"])
        return request.json_response(200, self._resources([found])[0])

    @endpoint(
        "DELETE",
        "/binaries/<binary_id>",
        {200: Response("The binary was removed.", BinaryResource)},
        errors={
            404: "There is no binary of this id.",
            409: "A queued or running job needs it.",
            503: "The agent cannot use its disk; retry after Retry-After.",
            507: "The disk is full.",
        },
    )
    async def delete_binary(self, request: Request, binary_id: str) -> bytes:
        """Remove a binary; the records of jobs that ran it stay."""
        found = self.artifacts.store.binary(binary_id)
        if found is None:
            raise not_found(request.path)
        await self.committer.writable()
        try:
            self.artifacts.remove(found)
        except BinaryNeeded as error:
            raise Problem(409, str(error)) from None
        request.audit("remove", binary=found.id)
        await self.committer.commit()
        return request.json_response(200, self._resources([found])[0])

    def _resources(self, binaries: Sequence[Binary]) -> list[BinaryResource]:
        needed = self.artifacts.store.needed_binaries()
        return [
            BinaryResource(
                id=binary.id,
                name=binary.name,
                size=binary.size,
                sha256=binary.sha256,
                uploaded_at=binary.uploaded_at.astimezone(timezone.utc),
                in_use=binary.id in needed,
            )
            for binary in binaries
        ]
