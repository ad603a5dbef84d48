"""The ids of jobs and binaries: UUIDs in their canonical form, which name files and directories."""

from __future__ import annotations

from uuid import UUID


def is_id(name: str) -> bool:
    """Tell whether a name is an id."""
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
