"""Fuzz the parsers of untrusted input: each module has `seeds` and `check`.

`check` takes any bytes and fails if the parser breaks an invariant. ``make fuzz`` searches for such
bytes by atheris; tests/unit/test_fuzz.py runs `check` over the seeds and over former findings.
"""

from __future__ import annotations

from collections.abc import Iterator

TARGETS = ("gob", "form", "output", "spec", "log", "http")


def cut(data: bytes) -> tuple[bytes, int]:
    """Return an input without its first byte, and the size of pieces that this byte encodes."""
    return data[1:], data[0] + 1 if data else 1


def pieces(stream: bytes, size: int) -> Iterator[bytes]:
    """Yield a stream in pieces of a size."""
    for start in range(0, len(stream), size):
        yield stream[start : start + size]
