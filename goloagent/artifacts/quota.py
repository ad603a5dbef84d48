"""The quota of stored artifacts, by content: which contents to evict for another."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from goloagent.jobs.database import Content


class QuotaExceeded(Exception):
    """A binary exceeds the quota beside those that jobs need; the message is a sentence."""


def select_evictions(
    stored: Sequence[Content], needed: Collection[str], incoming: Content, max_bytes: int
) -> list[Content]:
    """Return the contents to remove, in the order of `stored`, until `incoming` fits.

    Args:
        stored: the stored contents, that with the oldest last upload first.
        needed: the SHA-256 of contents that must stay.

    Raises:
        QuotaExceeded: `incoming` is not stored yet and would not fit even without them.
    """
    sizes = {content.sha256: content.size for content in (*stored, incoming)}
    excess = sum(sizes.values()) - max_bytes
    evicted = []
    for content in stored:
        if excess <= 0:
            break
        if content.sha256 not in needed and content.sha256 != incoming.sha256:
            evicted.append(content)
            excess -= content.size
    if excess > 0 and incoming not in stored:
        needed_bytes = sum(content.size for content in stored if content.sha256 in needed)
        raise QuotaExceeded(
            f"a binary of {incoming.size} bytes exceeds the quota: all binaries may have "
            f"{max_bytes} bytes (--max-binaries), and queued or running jobs need {needed_bytes}"
        )
    return evicted
