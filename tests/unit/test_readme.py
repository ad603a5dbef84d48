"""What the README shows is what the repository has."""

from __future__ import annotations

from pathlib import Path

from peers.readme import python_example

ROOT = Path(__file__).parents[2]


def test_the_load_test_in_python_is_the_example() -> None:
    """So whoever copies either has the one that is tested."""
    assert python_example() == (ROOT / "examples" / "http_get.py").read_text(encoding="utf-8")
