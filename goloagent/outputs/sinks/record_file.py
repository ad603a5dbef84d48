"""The sink that appends records of results to one file, or to one file a run in a directory."""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import attrs

from goloagent.concurrency.threads import Pool
from goloagent.core.output_setting import OutputSetting, SettingError
from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.sink import BatchLimits, Response
from goloagent.outputs.sinks.append_file import AppendFile, Format, mode_of, response_of

MAX_OPEN = 16
"""Files of a directory that are open at once."""

Encode = Callable[[RunLabels, Batch, int], list[bytes]]


@attrs.define
class RecordFileSink:
    """Writes in the output's own thread.

    Args:
        target: the file, or the directory of files.
        suffix: of the files in a directory.
        encode: returns the records of a batch.
    """

    url: str
    target: Path
    is_directory: bool
    suffix: str
    format: Format
    encode: Encode
    thread: Pool
    limits: BatchLimits = attrs.field(factory=BatchLimits)
    _files: OrderedDict[Path, AppendFile] = attrs.field(init=False, factory=OrderedDict)

    async def send(self, run: RunLabels, batch: Batch, ordinal: int) -> Response:
        """Append the results of a batch, and sync."""
        return await self.thread.run(self._write, run, batch, ordinal)

    async def check(self) -> str | None:
        """Return why the directory cannot be written to, or None."""
        return await self.thread.run(self._check)

    async def close(self) -> None:
        """Close the files."""
        await self.thread.run(self._close)

    def _write(self, run: RunLabels, batch: Batch, ordinal: int) -> Response:
        path = self.target
        if self.is_directory:
            path = self.target / f"{run.name}-{run.job}{self.suffix}"
        records = self.encode(run, batch, ordinal)
        return response_of(path, lambda: self._file(path).write(run.job, ordinal, records))

    def _file(self, path: Path) -> AppendFile:
        if path not in self._files:
            while len(self._files) >= MAX_OPEN:
                _, oldest = self._files.popitem(last=False)
                oldest.close()
            self._files[path] = AppendFile(path, self.format)
        self._files.move_to_end(path)
        return self._files[path]

    def _check(self) -> str | None:
        directory = self.target if self.is_directory else self.target.parent
        if not stat.S_ISDIR(mode_of(directory)) and os.access(directory.parent, os.X_OK):
            return f"there is no directory {directory}; create it"
        if not os.access(directory, os.W_OK | os.X_OK):
            return f"the agent's user may not write to {directory}; change its permissions"
        return None

    def _close(self) -> None:
        while self._files:
            self._files.popitem()[1].close()


def make_record_file(
    setting: OutputSetting, thread: Pool, suffix: str, form: Format, encode: Encode
) -> RecordFileSink:
    """Return the sink of a path, which is a directory if it ends with a slash or is one.

    Raises:
        SettingError: it is neither a file nor a directory, or a file with a slash.
    """
    path = Path(setting.target)
    mode = mode_of(path)
    if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise SettingError(f"{path} is neither a file nor a directory")
    if stat.S_ISREG(mode) and setting.target.endswith("/"):
        raise SettingError(f"{path} is a file: remove the / at the end of its URL")
    is_directory = setting.target.endswith("/") or stat.S_ISDIR(mode)
    return RecordFileSink(setting.shown, path, is_directory, suffix, form, encode, thread)
