"""Results as rows of a table, with the members of a result as its columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec import DecodeError, Raw
from msgspec.json import Decoder

from goloagent.core.record import Record
from goloagent.results.line_splitter import LineSplitter, SplitBlock
from goloagent.results.parser import MAX_LINE_BYTES, parse

NUL = "\N{REPLACEMENT CHARACTER}"
"""Replaces NUL, which PostgreSQL does not store, and Python 3.10 does not write to CSV."""

_decode_text = Decoder(str).decode


class Row(NamedTuple):
    """A result; the names are those of its JSON, a missing member is None.

    `duration` is in nanoseconds, `timestamp` and `error` are texts: of an error that is no string
    its JSON.
    """

    timestamp: str
    sequenceID: str | None
    method: str | None
    url: str | None
    status: int | None
    size: int | None
    duration: int | None
    error: str | None


def rows(records: Iterable[Record]) -> Iterator[Row]:
    """Yield the row of each result."""
    for record in records:
        yield Row(
            bytes(record.timestamp)[1:-1].decode(),  # has no escapes
            record.sequenceID,
            record.method,
            record.url,
            record.status,
            record.size,
            record.duration,
            None if record.error is None else error_text(record.error),
        )


def csv_header() -> bytes:
    """Return the first line of a CSV table."""
    return f"{','.join(Row._fields)}\r\n".encode()


def to_csv(records: Iterable[Record]) -> bytes:
    """Return the lines of results in a CSV table (RFC 4180, UTF-8); a missing member is empty."""
    text = io.StringIO()
    csv.writer(text).writerows(
        [value.replace("\0", NUL) if isinstance(value, str) else value for value in row]
        for row in rows(records)
    )
    return text.getvalue().encode()


def csv_blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the CSV table of the results in a log: its head, then a block for each piece.

    A block is empty if the piece completes no result.
    """
    splitter = LineSplitter(MAX_LINE_BYTES)
    yield csv_header()
    for piece in pieces:
        yield _csv_of(splitter.feed(piece))
    yield _csv_of(splitter.close())


def _csv_of(split: SplitBlock) -> bytes:
    return to_csv(parse(split.block).results) if split.block else b""


def error_text(error: object) -> str:
    """Return the text of a result's `error`: a string as it is, another value as its JSON."""
    if not isinstance(error, Raw):
        return str(error)
    try:
        return _decode_text(error)
    except DecodeError:  # another value, or a string that JSON's readers do not agree on
        return bytes(error).decode(errors="replace")
