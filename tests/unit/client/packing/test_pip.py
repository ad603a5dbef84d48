"""The command line of pip, and what is made of its errors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from goloagent.client.errors import ClientError
from goloagent.client.packing import pip

NOT_FOUND = """\
WARNING: You are using an old index.
ERROR: Could not find a version that satisfies the requirement nosuch (from versions: none)
ERROR: No matching distribution found for nosuch.
"""


def test_for_this_python() -> None:
    """Requirements follow `--`, so that none of them is an option."""
    arguments = pip.arguments(
        ["--index-url=x"], Path("r.txt"), Path("/i"), (), "/python3", "/python3"
    )
    assert arguments[0] == "install"
    assert arguments[-4:] == ["--requirement", "r.txt", "--", "--index-url=x"]
    assert "--only-binary=:all:" not in arguments


def test_for_another_python() -> None:
    """Pip runs in it, and installs only wheels for another platform."""
    platforms = ["manylinux2014_aarch64", "linux_aarch64"]
    arguments = " ".join(
        pip.arguments(["x"], None, Path("/into"), platforms, "/opt/python3.8", "/opt/python3")
    )
    assert arguments.startswith("--python /opt/python3.8 install ")
    assert (
        "--only-binary=:all: --platform manylinux2014_aarch64 --platform linux_aarch64 -- x"
        in arguments
    )


@pytest.mark.parametrize(
    ("stderr", "sentence"),
    [
        (NOT_FOUND, "a.py: No matching distribution found for nosuch; correct the requirement"),
        ("/usr/bin/python3: No module named pip\n", "has no pip, which installs the packages"),
        ("Traceback:\n  x\nKeyError: 'y'\n", "pip cannot install the packages of a.py: KeyError"),
        ("", "it printed no reason; correct"),
        ("ERROR: " + "x" * 5000, "xxx; correct the requirement"),
    ],
)
def test_failures(stderr: str, sentence: str) -> None:
    """Each is one sentence with what to do."""
    failure = pip.failure(stderr, "a.py")
    assert sentence in failure
    assert "\n" not in failure
    assert len(failure) < 700


def test_a_requirements_file_that_is_missing(tmp_path: Path) -> None:
    """It is refused before pip starts."""
    with pytest.raises(ClientError, match=r"cannot read the requirements file .*r\.txt: correct"):
        pip.install([], tmp_path / "r.txt", tmp_path, (), sys.executable, "a.py")
