"""The stdout of a load test: blocks of lines, some of which are results."""

from __future__ import annotations

import json
from collections.abc import Iterator

from peers.lines import select
from unit.results import records

from goloagent.core.record import Record
from goloagent.results import go_json, parser


def seeds() -> Iterator[bytes]:
    """Yield results and near misses."""
    yield records.ORDINARY
    for timestamp in (*records.TIMESTAMPS, *records.LAX_TIMESTAMPS, *records.WRONG_TIMESTAMPS):
        yield f'{{"timestamp":"{timestamp}"}}'.encode()
    for name in records.NAMES:
        yield f'{{"{name}":0,{records.TIMESTAMP},"error":[1e308,{{"{name}":[null]}}]}}'.encode()
    yield records.ORDINARY + b"\nchatter\n\n" + records.ORDINARY
    yield b'{"error":1%s,%s}' % (b"0" * 309, records.TIMESTAMP.encode())


def check(data: bytes) -> None:
    """Tell results from chatter, and read them, by the fast path exactly as by the grammar."""
    lines = data.split(b"\n")
    expected = [line if go_json.accepts(line) else None for line in lines]
    assert select(data + b"\n") == expected
    assert [line if parser.is_result(line) else None for line in lines] == expected
    results = [line for line in expected if line is not None]
    plain = [record for record in map(_by_the_grammar, results) if record is not None]
    assert list(map(_members, parser.read(data + b"\n").results)) == list(map(_members, plain))
    assert len(json.loads(parser.join_array(results))) == len(results)


def _by_the_grammar(line: bytes) -> Record | None:
    """Read a line by the plain rule, all its steps at once."""
    steps = parser._by_the_grammar(line)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            record: Record | None = end.value
            return record


def _members(record: Record) -> tuple[object, ...]:
    """Return what statistics are made of; of the error, whether there is one."""
    return (
        bytes(record.timestamp),
        *(record.sequenceID, record.url, record.method),
        *(record.status, record.size, record.duration),
        record.error is None,
    )
