"""A file that is written in pieces and appears when it is complete."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import attrs

from goloagent.client.errors import ClientError, reason_of

STDOUT = Path("-")


@attrs.define(eq=False)
class OutputFile:
    """Replaces `path` when its block ends without an exception; ``-`` is stdout.

    A pipe or a device is written directly. Each method raises `ClientError` for a system error.
    """

    path: Path
    file: BinaryIO = attrs.field(init=False)
    _new: Path | None = None

    def __enter__(self) -> OutputFile:
        if self.path == STDOUT:
            self.file = sys.stdout.buffer
            return self
        try:
            target = self.path.resolve()
            if not target.exists() or target.is_file():
                self._new = target = target.with_name(f".{target.name}.{os.getpid()}")
            self.file = target.open("wb")
        except OSError as error:
            raise self._failed(error) from None
        return self

    def write(self, data: bytes) -> None:
        """Write a piece."""
        try:
            self.file.write(data)
        except OSError as error:
            raise self._failed(error) from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.file.flush()
            if self.path != STDOUT:
                self.file.close()
            if self._new is not None and kind is None:
                self._new.replace(self.path.resolve())
        except OSError as failure:
            if kind is None:
                raise self._failed(failure) from None
        finally:
            if self._new is not None:
                self._new.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> ClientError:
        reason = reason_of(error)
        return ClientError(f"{self.path}: {reason}; give another file or free space")
