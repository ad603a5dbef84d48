"""The sink that writes a Parquet file for each batch, with the columns of a table of results.

A Parquet file can be read when it is complete only, so each batch is a file of its own, written
under a temporary name and synced. Its name has the job and the ordinal of its first result, so that
the last file of a job says which results of a repeat are there. Batches are as large as the outputs
make them, and close after 10 s.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from pathlib import Path

import attrs
import pyarrow as pa
import pyarrow.parquet as pq

from goloagent.concurrency.threads import Pool
from goloagent.core.output_setting import OutputSetting, SettingError
from goloagent.filesystem.durable import sync_directory
from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.registry import SinkContext
from goloagent.outputs.sink import BatchLimits, Response
from goloagent.outputs.sinks.append_file import (
    MAX_JOBS,
    MODE,
    mode_of,
    response_of,
)
from goloagent.outputs.sinks.rows import COLUMNS, Rows, rows_of

LIMITS = BatchLimits(max_results=1 << 15, seconds=10.0)

SUFFIX = ".parquet"
TEMPORARY = ".part"
OLD_SECONDS = 3600.0
"""From which age on a temporary file is no other agent's."""

_INTEGERS = frozenset({"ordinal", "status", "duration", "size"})
_SHARED = frozenset({"job", "run", "name", "agent", "tags"})


def _type_of(column: str) -> pa.DataType:
    if column in _INTEGERS:
        return pa.int64()
    text = pa.string()
    return pa.dictionary(pa.int32(), text) if column in _SHARED | {"method", "url"} else text


SCHEMA = pa.schema([(column, _type_of(column)) for column in COLUMNS])


def table_of(rows: Rows) -> pa.Table:
    """Return the results as a table of `SCHEMA`; a timestamp is the text that was printed."""
    count = len(rows)
    shared = [pa.array([label] * count) for label in rows.labels]
    members = [
        pa.array(column, _plain(name))
        for name, column in zip(COLUMNS[5:-1], rows.members, strict=True)
    ]
    arrays = [*shared, pa.array(rows.ordinals), *members, pa.array([rows.tags] * count)]
    return pa.Table.from_arrays(
        [array.cast(field.type) for array, field in zip(arrays, SCHEMA, strict=True)],
        schema=SCHEMA,
    )


def _plain(column: str) -> pa.DataType:
    return pa.int64() if column in _INTEGERS else pa.string()


@attrs.frozen
class ParquetSink:
    """Writes files in `directory`, in the output's own thread."""

    url: str
    directory: Path
    thread: Pool
    limits: BatchLimits = LIMITS
    # The number of results of each job that files have, for the newest jobs.
    _counts: dict[str, int] = attrs.field(init=False, factory=dict)

    async def send(self, run: RunLabels, batch: Batch, ordinal: int) -> Response:
        """Write the results of a batch as one file."""
        return await self.thread.run(self._write, run, batch, ordinal)

    async def check(self) -> str | None:
        """Return why the directory cannot be written to, or None; remove what a kill has left."""
        return await self.thread.run(self._check)

    async def close(self) -> None:
        """Do nothing: no file is open."""

    def _write(self, run: RunLabels, batch: Batch, ordinal: int) -> Response:
        return response_of(self.directory, lambda: self._add(run, rows_of(run, batch, ordinal)))

    def _add(self, run: RunLabels, rows: Rows) -> None:
        """Write the results that no file has, after the loss of checkpoints."""
        self.directory.mkdir(parents=True, exist_ok=True)
        prefix = f"{run.name}-{run.job}-"
        if run.job not in self._counts:
            self._counts[run.job] = self._count(prefix)
            if len(self._counts) > MAX_JOBS:
                del self._counts[next(iter(self._counts))]
        first, end = rows.ordinals.start, rows.ordinals.stop
        begin = max(first, self._counts[run.job])
        if begin < end:
            path = self.directory / f"{prefix}{begin:012}{SUFFIX}"
            self._replace(path, table_of(rows).slice(begin - first))
            self._counts[run.job] = end

    def _count(self, prefix: str) -> int:
        """Return the number of a job's results that files have."""
        names = (path.name for path in self.directory.iterdir())
        files = (name for name in names if name.startswith(prefix) and name.endswith(SUFFIX))
        last = max(files, default="")
        number = last.removeprefix(prefix).removesuffix(SUFFIX)
        if not number.isdecimal():
            return 0
        try:
            return int(number) + int(pq.read_metadata(self.directory / last).num_rows)
        except pa.ArrowInvalid:  # another program has changed it: it is replaced
            return int(number)

    def _replace(self, path: Path, table: pa.Table) -> None:
        temporary = path.with_name(f".{path.stem}{TEMPORARY}")  # readers skip it for its dot
        try:
            with temporary.open("wb") as file:
                os.fchmod(file.fileno(), MODE)
                pq.write_table(table, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise
        sync_directory(self.directory)

    def _check(self) -> str | None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            for left in self.directory.glob(f"*{TEMPORARY}"):
                if left.stat().st_mtime < time.time() - OLD_SECONDS:
                    left.unlink()
        except OSError as error:
            remedy = "correct the path or its permissions"
            return f"cannot write to {self.directory}: {error.strerror}; {remedy}"
        if not os.access(self.directory, os.W_OK | os.X_OK):
            return f"the agent's user may not write to {self.directory}; change its permissions"
        return None


def make(setting: OutputSetting, context: SinkContext) -> ParquetSink:
    """Return the sink of an output ``parquet:``.

    Raises:
        SettingError: the path is a file.
    """
    path = Path(setting.target)
    if (mode := mode_of(path)) and not stat.S_ISDIR(mode):
        raise SettingError(f"{path} is no directory: choose another path")
    return ParquetSink(setting.shown, path, context.thread)
