"""The stdout of a load test: blocks of lines, some of which are results."""

from __future__ import annotations

import json
from collections.abc import Iterator

from peers.lines import select
from unit.results import records

from goloagent.results import parser


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
    """Compare the lines that are results, alone and in a block, with the rule."""
    lines = data.split(b"\n")
    expected = [line if records.is_result(line) else None for line in lines]
    assert select(data + b"\n") == expected
    assert [select(line + b"\n")[0] for line in lines] == expected
    results = [line for line in expected if line is not None]
    assert len(json.loads(parser.join_array(results))) == len(results)
