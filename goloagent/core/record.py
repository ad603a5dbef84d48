"""What a result says: the members of its JSON object, as a Go collector's record has them."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Raw, Struct

Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class Record(Struct, gc=False):
    """A result's members; None is a null, or none at all: Go's zero value.

    Of a member that is there twice, the last counts. `timestamp` is as it was written.
    """

    timestamp: Raw
    sequenceID: str | None = None
    url: str | None = None
    method: str | None = None
    status: Int64 | None = None
    size: Int64 | None = None
    duration: Int64 | None = None
    error: Any = None
