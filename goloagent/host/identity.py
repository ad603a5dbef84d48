"""The identity of the agent: an id that is made once, and the boot of its host."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid4

import attrs

from goloagent.filesystem import durable

NAME = "agent-id"
_MAX_BYTES = 64
# O_NONBLOCK, because opening a FIFO would block.
_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@attrs.frozen
class Identity:
    """The ids of an agent and of the boot, in which its monotonic clock is valid."""

    id: str
    boot: str


def read_identity(state: Path) -> Identity:
    """Return the identity of the agent whose state directory is `state`.

    Its id is made if there is none; one that cannot be stored is valid for this process.
    """
    path = state / NAME
    found = _read(path)
    if found is None:
        found = str(uuid4())
        with suppress(OSError):
            _write(path, found)
    return Identity(found, _boot())


def _read(path: Path) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | _SAFE)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return str(UUID(os.read(descriptor, _MAX_BYTES).decode("ascii").strip()))
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)


def _write(path: Path, text: str) -> None:
    new = path.with_name(f"{NAME}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _SAFE, 0o600)
    try:
        os.write(descriptor, f"{text}\n".encode())
        durable.sync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(path)
    durable.sync_directory(path.parent)


def _boot() -> str:
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:  # a sandbox without it: no other process can share the clock
        return str(uuid4())
