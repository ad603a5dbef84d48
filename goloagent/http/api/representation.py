"""Bodies with an ETag and gzip compression (RFC 9110, sections 8.4 and 13)."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256

import attrs
from twisted.web.http import CACHED

from goloagent.http.server.request import Request

# A smaller body fits into one packet as it is.
_MIN_GZIP_BYTES = 1400
# Level 1 compresses JSON to a sixth in 5 ms per MiB; more would delay the reactor.
_GZIP_LEVEL = 1
_MAX_GZIP_BYTES = 2 * 1024 * 1024


@attrs.frozen(slots=False)
class Representation:
    """A complete body of one media type."""

    body: bytes = attrs.field(repr=False)
    media_type: str

    @cached_property
    def etag(self) -> str:
        """The ETag; weak, because the compressed body has other bytes."""
        return f'W/"{sha256(self.body).hexdigest()[:32]}"'

    @cached_property
    def gzipped(self) -> bytes:
        """The body, compressed."""
        return gzip.compress(self.body, _GZIP_LEVEL, mtime=0)


def serve(request: Request, representation: Representation) -> bytes:
    """Respond 200 with the body, compressed if the client accepts gzip, or 304."""
    request.setHeader("Vary", "Accept-Encoding")
    if request.setETag(representation.etag.encode()) is CACHED:
        return b""
    body = representation.body
    may_compress = accepts_gzip(request.header_values("Accept-Encoding"))
    if may_compress and _MIN_GZIP_BYTES <= len(body) <= _MAX_GZIP_BYTES:
        request.setHeader("Content-Encoding", "gzip")
        body = representation.gzipped
    request.setHeader("Content-Type", representation.media_type)
    request.setHeader("Content-Length", str(len(body)))
    return body


def accepts_gzip(accepted: Sequence[str]) -> bool:
    """Return whether an Accept-Encoding names gzip with a weight above zero."""
    for coding in ",".join(accepted).lower().split(","):
        name, _, weight = coding.replace(" ", "").partition(";q=")
        if name == "gzip":
            return weight.strip("0.") != "" or not weight
    return False
