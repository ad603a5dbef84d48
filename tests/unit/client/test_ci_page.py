"""The examples for CI systems in docs/ci.md and README.md, and the table of exit codes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from goloagent.client.commands.run import run_command
from goloagent.client.exit_codes import MEANINGS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_exit_codes_are_those_of_golo() -> None:
    """Each code has its row, in order."""
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert rows == [(str(int(code)), meaning) for code, meaning in MEANINGS.items()]


@pytest.mark.parametrize("page", [PAGE, README], ids=["ci.md", "README.md"])
def test_the_examples_are_short_and_run(page: str) -> None:
    """Each is YAML, and the options of its command exist."""
    github, gitlab = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    for example in (github, gitlab):
        assert example.count("\n") <= 10
        (command,) = [text for text in texts(yaml.safe_load(example)) if "golo run" in text]
        words = shlex.split(command)
        assert words[:2] == ["golo", "run"]
        assert run_command.make_context("run", words[2:]).params["job"]
    junit = yaml.safe_load(gitlab)["load"]["artifacts"]["reports"]["junit"]
    assert f"--junit {junit}" in gitlab


def texts(value: Any) -> Iterator[str]:
    """Yield the texts in a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts(part)
