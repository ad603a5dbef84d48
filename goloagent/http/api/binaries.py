"""Binaries over HTTP: upload, list, show, delete. What streams is in `upload`."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated
from urllib.parse import urlencode

import attrs
import msgspec
from msgspec import Meta, Struct

from goloagent.artifacts.store import ArtifactStore, BinaryNeeded
from goloagent.http.api.committer import Committer
from goloagent.http.api.endpoint import Body, Response, endpoint
from goloagent.http.problem import Problem, not_found, quoted
from goloagent.http.server.request import Request
from goloagent.http.upload.form import MAX_PARTS
from goloagent.jobs.database import Binary

_SHA256_DIGITS = 64


class Uploaded(Struct, frozen=True):
    """The id of the new binary."""

    binary: str


class BinaryResource(Struct, frozen=True):
    """An uploaded load test; ``in_use`` while a job that is not over needs it."""

    id: str
    size: Annotated[int, Meta(ge=0)]
    sha256: str
    uploaded_at: datetime
    in_use: bool


class BinaryList(Struct, frozen=True):
    """Binaries, the newest first; ``next`` is the path of the following page, null on the last."""

    binaries: list[BinaryResource]
    next: str | None


class BinaryQuery(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which binaries to list."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    before: Annotated[str | None, Meta(description="id of a binary: list only older ones")] = None


_FORM = {
    "type": "object",
    "properties": {
        "file": {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "description": "an ELF file, or a script that starts with #!",
            "pattern": "^(\x7fELF|#!)",
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
        body=Body(media_type="multipart/form-data", schema=_FORM),
        errors={
            400: "There is no part `file`, or it is empty or no executable.",
            413: "The binary is larger than --max-upload.",
            415: "The body is no form.",
            503: "The agent's disk does not take it now; Retry-After says when to come again.",
            507: "The disk is full, or --max-binaries leaves no room beside what jobs need.",
        },
    )
    async def post_upload(self, request: Request) -> bytes:
        """Make the upload a binary; once answered 200 it is on disk."""
        assert request.upload is not None, "every POST /upload streams"
        binary = await request.upload.finish(self.committer.writable)
        # Before anything is waited for, as its client may be gone then.
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
        page, more = found[: query.limit], found[query.limit :]
        following = None
        if more:
            parameters = msgspec.to_builtins(msgspec.structs.replace(query, before=page[-1].id))
            following = f"/binaries?{urlencode(parameters)}"
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

        Whoever finds theirs by HEAD or GET can queue jobs with its id and needs no upload.
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
            409: "A job that is not over needs it.",
            503: "The agent's disk does not take it now; Retry-After says when to come again.",
            507: "The disk is full.",
        },
    )
    async def delete_binary(self, request: Request, binary_id: str) -> bytes:
        """Remove a binary; jobs that ran it stay."""
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

    def _resources(self, binaries: list[Binary]) -> list[BinaryResource]:
        needed = self.artifacts.store.needed_binaries()
        return [
            BinaryResource(
                id=binary.id,
                size=binary.size,
                sha256=binary.sha256,
                uploaded_at=binary.uploaded_at.astimezone(timezone.utc),
                in_use=binary.id in needed,
            )
            for binary in binaries
        ]
