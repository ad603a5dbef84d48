"""A share of the lines of a file that the agents of a fleet divide among them. Pure."""

from __future__ import annotations


class LineShare:
    """Selects line `index` of every `of` lines of a file that is read in blocks.

    A line ends with its newline, or with the file. Together the shares are all lines, each once.

    Args:
        index: from 0, less than `of`.
        has_header: the first line is for each agent and is not counted.
    """

    def __init__(self, index: int, of: int, has_header: bool) -> None:
        self._index = index
        self._of = of
        self._is_header = has_header
        self._line = 0  # the number of the line that the next block continues or begins

    def select(self, block: bytes) -> bytes:
        """Return the part of a block, which may begin and end anywhere."""
        header = b""
        if self._is_header:
            header, newline, block = block.partition(b"\n")
            header += newline
            self._is_header = not newline
        lines = block.split(b"\n")
        first = (self._index - self._line) % self._of
        selected = lines[first :: self._of]
        self._line += len(lines) - 1
        # The last one has no newline in this block.
        ends = first + len(selected) * self._of - self._of < len(lines) - 1
        return header + b"\n".join(selected) + (b"\n" if selected and ends else b"")
