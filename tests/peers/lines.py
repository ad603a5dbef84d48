"""What is a result in a block of lines, as the agent tells it."""

from __future__ import annotations

from goloagent.results import parser


def select(block: bytes) -> list[bytes | None]:
    """Return each line of a block without its newline, or None in its place if it is no result."""
    reading = parser.read(block)
    flaws = set(reading.invalid_offsets)
    told: list[bytes | None] = []
    start = 0
    for line in block.split(b"\n")[:-1]:
        told.append(None if start in flaws else line)
        start += len(line) + 1
    assert len(told) == reading.lines
    return told
