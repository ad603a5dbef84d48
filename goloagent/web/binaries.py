"""Binaries over HTTP: upload. What streams is in `upload`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
from msgspec import Struct

from goloagent.web.operation import Body, Reply, operation
from goloagent.web.request import Request


class Uploaded(Struct, frozen=True):
    """The id of the new binary."""

    binary: str


_FORM = {
    "type": "object",
    "properties": {
        "file": {"type": "string", "contentMediaType": "application/octet-stream"},
    },
    "required": ["file"],
}


@attrs.frozen
class BinaryRoutes:
    """``/upload``; `in_thread` runs a function off the reactor thread."""

    in_thread: Callable[[Callable[[], None]], Awaitable[None]]

    @operation(
        "POST",
        "/upload",
        {200: Reply("The binary is on disk.", Uploaded)},
        body=Body(media_type="multipart/form-data", schema=_FORM),
        errors={
            400: "There is no part `file`, it is empty or no executable, or it cannot be stored.",
            413: "The binary is larger than --max-upload.",
            415: "The body is no form.",
            507: "The disk is full.",
        },
    )
    async def post_upload(self, request: Request) -> bytes:
        """Make the upload a binary; once answered 200 it is on disk."""
        assert request.upload is not None, "every POST /upload streams"
        await self.in_thread(request.upload.sync)
        binary = request.upload.finish()
        await self.in_thread(request.upload.sync_name)
        return request.answer(200, Uploaded(binary.id))
