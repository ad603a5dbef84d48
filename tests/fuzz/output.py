"""What a load test prints: blocks of lines, of which some are results."""

from __future__ import annotations

import json
from collections.abc import Iterator

from unit.results import records

from goloagent.results import grammar, output


def seeds() -> Iterator[bytes]:
    """Yield results, and what only looks like one."""
    yield records.ORDINARY
    for timestamp in (*records.TIMESTAMPS, *records.LAX_TIMESTAMPS, *records.WRONG_TIMESTAMPS):
        yield f'{{"timestamp":"{timestamp}"}}'.encode()
    for name in records.NAMES:
        yield f'{{"{name}":0,{records.TIMESTAMP},"error":[1e308,{{"{name}":[null]}}]}}'.encode()
    yield records.ORDINARY + b"\nchatter\n\n" + records.ORDINARY
    yield b'{"error":1%s,%s}' % (b"0" * 309, records.TIMESTAMP.encode())


def check(data: bytes) -> None:
    """Tell results from chatter by the fast path exactly as by the grammar, line by line."""
    lines = data.split(b"\n")
    expected = [line if grammar.accepts(line) else None for line in lines]
    assert output.select(data + b"\n") == expected
    assert [line if output.is_result(line) else None for line in lines] == expected
    assert output.count_valid(data + b"\n") == len([line for line in expected if line is not None])
    results = [line for line in expected if line is not None]
    assert len(json.loads(output.array(results))) == len(results)
