"""The command line of ``golo collect``."""

from __future__ import annotations

from pathlib import Path

import pytest

from goloagent.collect.options import Options


def test_usage_names_the_command() -> None:
    """Its reader has not called twistd."""
    assert str(Options()).startswith("Usage: golo collect --output NAME=URL [options]\n")


def test_an_argument_is_named(tmp_path: Path) -> None:
    """It may be the rest of a value that was not quoted."""
    output = f"--output=a=jsonl:{tmp_path}/my"
    with pytest.raises(SystemExit, match="golo collect: unexpected argument results"):
        Options().parseOptions([output, "results.jsonl"])
