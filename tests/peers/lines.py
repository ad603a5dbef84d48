"""Which lines of a block the agent classifies as results."""

from __future__ import annotations

from goloagent.results.parser import parse


def select(block: bytes) -> list[bytes | None]:
    """Return each line of a block without its newline, or None in its place if it is invalid."""
    parsed = parse(block)
    invalid = set(parsed.invalid_offsets)
    selected: list[bytes | None] = []
    start = 0
    for line in block.split(b"\n")[:-1]:
        selected.append(None if start in invalid else line)
        start += len(line) + 1
    assert len(selected) == parsed.lines
    return selected


def is_result(line: bytes) -> bool:
    """Return whether a line, without its newline, is a result."""
    return not parse(line + b"\n").invalid_offsets
