"""How much binaries may hold in all, and which of them make room for another. Pure.

Counted by content, as it lies on disk: binaries that hold the same cost it once, and only together
do they give it back.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from goloagent.jobs.database import Content


class QuotaExceeded(Exception):
    """There is none for a binary, as jobs need the others; the message is a sentence."""


def select_evictions(
    stored: Sequence[Content], needed: Collection[str], incoming: Content, max_bytes: int
) -> list[Content]:
    """Return which contents to remove, the first of `stored` first, so that `coming` has room.

    Args:
        stored: what there is, that one first that was uploaded last ago.
        needed: the SHA-256 of those that stay in any case.

    Raises:
        QuotaExceeded: `coming` is not stored yet, and would not have room without them.
    """
    sizes = {content.sha256: content.size for content in (*stored, incoming)}
    excess = sum(sizes.values()) - max_bytes
    removed = []
    for content in stored:
        if excess <= 0:
            break
        if content.sha256 not in needed and content.sha256 != incoming.sha256:
            removed.append(content)
            excess -= content.size
    if excess > 0 and incoming not in stored:
        needed_bytes = sum(content.size for content in stored if content.sha256 in needed)
        raise QuotaExceeded(
            f"There is no room for a binary of {incoming.size} bytes: all binaries may have "
            f"{max_bytes} bytes (--max-binaries), and queued or running jobs need {needed_bytes}."
        )
    return removed
