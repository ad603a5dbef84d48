"""The ids of jobs and binaries: canonical UUIDs, which are also names of files and directories."""

from __future__ import annotations

from uuid import UUID


def is_id(name: str) -> bool:
    """Return whether a name is an id."""
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
