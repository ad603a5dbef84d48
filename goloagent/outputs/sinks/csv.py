"""CSV by RFC 4180, with a header.

A line break within a text is a line feed, so that a carriage return and a line feed are the end of
a record, wherever they are. NUL, which not every reader accepts, becomes U+FFFD.
"""

from __future__ import annotations

import csv
import io

from goloagent.core.output_setting import OutputSetting
from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.registry import SinkContext
from goloagent.outputs.sinks.append_file import TAIL_BYTES, Format
from goloagent.outputs.sinks.record_file import RecordFileSink, make_record_file
from goloagent.outputs.sinks.rows import COLUMNS, rows_of
from goloagent.results.table import NUL

csv.field_size_limit(TAIL_BYTES)  # a text of a result may be longer than Python's 128 KiB

END = b"\r\n"
_ORDINAL = COLUMNS.index("ordinal")


def records_of(run: RunLabels, batch: Batch, ordinal: int) -> list[bytes]:
    """Return a record for each result, without its end."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    for row in rows_of(run, batch, ordinal):
        writer.writerow([_readable(value) for value in row])
    return text.getvalue().encode("utf-8", "replace").split(END)[:-1]


def key_of(record: bytes) -> tuple[str, int]:
    """Return the job and the ordinal of a record; raises ValueError, as for the header."""
    try:
        [row] = csv.reader(io.StringIO(record.decode("utf-8", "replace"), newline=""))
    except csv.Error as error:
        raise ValueError(str(error)) from None
    if len(row) != len(COLUMNS):
        raise ValueError("another number of columns")
    return row[0], int(row[_ORDINAL])


CSV = Format(END, ",".join(COLUMNS).encode() + END, key_of)


def make(setting: OutputSetting, context: SinkContext) -> RecordFileSink:
    """Return the sink of an output ``csv:``."""
    return make_record_file(setting, context.thread, ".csv", CSV, records_of)


def _readable(value: object) -> object:
    if not isinstance(value, str):
        return value
    return value.replace("\r\n", "\n").replace("\r", "\n").replace("\0", NUL)
