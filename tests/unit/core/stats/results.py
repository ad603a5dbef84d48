"""Results as the statistics get them."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from goloagent.core.record import Record


def result(
    url: str | None = "http://localhost/",
    method: str | None = "GET",
    status: int | None = 200,
    size: int | None = 10,
    duration: int | None = 1_000_000,
    error: Any = None,
) -> Record:
    """Return a result of an ordinary request, but for what is given."""
    return Record(
        timestamp=Raw(b'"2024-01-01T00:00:00Z"'),
        url=url,
        method=method,
        status=status,
        size=size,
        duration=duration,
        error=error,
    )
