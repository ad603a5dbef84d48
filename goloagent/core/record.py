"""The members of a result's JSON object."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Raw, Struct

Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class Record(Struct, gc=False):
    """A result; None is a null or missing member. `timestamp` is the JSON text."""

    timestamp: Raw
    sequenceID: str | None = None
    url: str | None = None
    method: str | None = None
    status: Int64 | None = None
    size: Int64 | None = None
    duration: Int64 | None = None
    error: Any = None
