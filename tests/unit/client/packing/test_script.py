"""Scripts: what is read from them, what is refused, and their `#!` line."""

from __future__ import annotations

from pathlib import Path

import pytest

from goloagent.client.errors import ClientError
from goloagent.client.packing import program_of
from goloagent.client.packing.script import Script

BLOCK = '# /// script\n# dependencies = [\n#   "requests>=2",\n#   "{}",\n# ]\n# {}\n# ///\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a script."""
    return tmp_path / "my_test.py"


def test_inline_metadata(path: Path) -> None:
    """Its requirements are those of PEP 723, without the agent itself, which has the SDK."""
    path.write_text(BLOCK.format("golo-agent >= 1", 'requires-python = ">=3.9"') + "print()\n")
    script = Script.read(path)
    assert (script.dependencies, script.oldest) == (("requests>=2",), (3, 9))
    path.write_text(BLOCK.format("golo-agent-plugin", "").replace("\n", "\r\n"))
    script = Script.read(path)
    assert (script.dependencies, script.oldest) == (("requests>=2", "golo-agent-plugin"), (3, 8))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"print(\n", "line 1: '(' was never closed; correct it"),
        (b"package main\n", "line 1: invalid syntax; correct it, or give a Python file"),
        (b"\x7fELF\x02\x01\0\0", "is not Python source: give a .py file"),
        (b"x = 1\0", "is not Python source: give a .py file"),
        (b"# coding: klingon\n", "is not Python source: give a .py file"),
        (b"# /// script\n# dependencies = [\n# ///\n", "(# /// script) is not TOML: "),
        (
            b"# /// script\n# dependencies = 'x'\n# ///\n",
            "dependencies must be an array of strings",
        ),
        (2 * b"# /// script\n# x = 1\n# ///\n\n", "is there more than once: keep one block"),
    ],
)
def test_wrong_scripts(path: Path, content: bytes, sentence: str) -> None:
    """The error names the script, and what to correct; nothing is installed."""
    path.write_bytes(content)
    with pytest.raises(ClientError) as error:
        program_of(path)
    assert sentence in str(error.value)
    assert str(path) in str(error.value)
    assert error.value.exit_code == 104


def test_a_script_that_cannot_be_read(path: Path, tmp_path: Path) -> None:
    """A missing file and a directory are errors with the system's reason."""
    for wrong, reason in ((path, "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ClientError, match=f"cannot read {wrong}: {reason}"):
            program_of(wrong)


def test_a_script_that_runs_as_it_is(path: Path) -> None:
    """It is uploaded unchanged."""
    path.write_text("#!/usr/bin/env python3\nprint()\n")
    assert program_of(path) == path


@pytest.mark.parametrize(
    ("content", "program"),
    [
        (b"print()\n", b"#!/usr/bin/env python3\nprint()\n"),
        (b"\xef\xbb\xbf#!/usr/bin/python3\nx = 'y'\n", b"#!/usr/bin/python3\nx = 'y'\n"),
        (b"#!/usr/bin/python3\r\nprint()\r\n", b"#!/usr/bin/python3\nprint()\r\n"),
        (b"#!/usr/bin/env -S uv run --script\nx = 1\n", b"#!/usr/bin/env python3\nx = 1\n"),
        (b"", b"#!/usr/bin/env python3\n"),
    ],
    ids=["without", "byte order mark", "carriage return", "uv", "empty"],
)
def test_a_line_that_linux_can_run(path: Path, content: bytes, program: bytes) -> None:
    """A script without one, or with one that no agent can run, gets another."""
    path.write_bytes(content)
    assert program_of(path) == program


def test_another_python(path: Path) -> None:
    """The option replaces the line of the script."""
    path.write_text("#!/usr/bin/env python3\nprint()\n")
    assert program_of(path, python="3.9") == b"#!/usr/bin/env python3.9\nprint()\n"
