"""Results as a Parquet file, by pyarrow, which is the extra ``parquet``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

import attrs

from goloagent.client.errors import ClientError
from goloagent.client.export.output_file import OutputFile
from goloagent.core.record import Record
from goloagent.results.table import Row, rows

MAX_ROWS, MAX_BYTES = 100_000, 32 << 20
"""Of a group of rows, which is in memory until it is written."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SECOND_CHARS = 19
_MICROSECOND_DIGITS = 6


def require() -> Any:
    """Return the package pyarrow.

    Raises:
        ClientError: it is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError:
        raise ClientError(
            "--parquet needs pyarrow: install it by pip install 'golo-agent[parquet]'"
        ) from None
    return pyarrow


@attrs.define
class ParquetWriter:
    """Writes results in groups of rows; the timestamp is in UTC, to the microsecond."""

    file: OutputFile
    _rows: list[Row] = attrs.field(factory=list)
    _bytes: int = 0
    _arrow: Any = attrs.field(factory=require)
    _writer: Any = None

    def __attrs_post_init__(self) -> None:
        arrow = self._arrow
        types = {"timestamp": arrow.timestamp("us", "UTC")}
        types |= dict.fromkeys(("status", "size", "duration"), arrow.int64())
        schema = arrow.schema([(name, types.get(name, arrow.string())) for name in Row._fields])
        self._writer = arrow.parquet.ParquetWriter(self.file.file, schema, compression="zstd")

    def write(self, lines: bytes, records: Sequence[Record]) -> None:
        """Add results, and write a group if it is large enough."""
        self._rows += rows(records)
        self._bytes += len(lines)
        if len(self._rows) >= MAX_ROWS or self._bytes >= MAX_BYTES:
            self._flush()

    def close(self) -> None:
        """Write the last group and the end of the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if not self._rows:
            return
        columns = dict(zip(Row._fields, zip(*self._rows, strict=True), strict=True))
        columns["timestamp"] = tuple(map(microseconds, columns["timestamp"]))
        schema = self._writer.schema
        arrays = [self._arrow.array(columns[field.name], field.type) for field in schema]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=schema))
        self._rows.clear()
        self._bytes = 0


def microseconds(timestamp: str) -> int:
    """Return the microseconds from 1970 to a timestamp of a result; further digits are cut.

    A time outside of the years 1 to 9999 is the nearest one in them.
    """
    is_utc = timestamp.endswith("Z")
    offset = "+00:00" if is_utc else timestamp[-6:]
    fraction = timestamp[_SECOND_CHARS + 1 : -1 if is_utc else -6]
    digits = fraction[:_MICROSECOND_DIGITS].ljust(_MICROSECOND_DIGITS, "0")
    return _seconds(timestamp[:_SECOND_CHARS], offset) * 1_000_000 + int(digits)


@lru_cache(maxsize=1024)
def _seconds(second: str, offset: str) -> int:
    # Python's years begin with 1.
    text = second if second > "0001" else "0001-01-01T00:00:00"
    time = datetime.fromisoformat(f"{text}+00:00")
    shift = (int(offset[1:3]) * 60 + int(offset[4:6])) * (1 if offset[0] == "+" else -1)
    return int((time - _EPOCH).total_seconds()) - shift * 60
