"""The packed file: its content, the same bytes for the same content."""

from __future__ import annotations

import ast
import json
import os
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from goloagent.client.errors import ClientError
from goloagent.client.packing import archive, bootstrap
from goloagent.client.packing.script import Script
from goloagent.client.packing.target import Target
from goloagent.sdk import archive as sdk

FILES = {
    "tool/__init__.py": "",
    "tool/data.txt": "data",
    "tool/__pycache__/__init__.cpython-311.pyc": "code",
    "tool-1.dist-info/METADATA": "Name: tool",
    "tool-1.dist-info/RECORD": "the files",
    "tool-1.dist-info/direct_url.json": "{}",
    "bin/tool": "#!/home/me/python",
    "goloagent/sdk/__init__.py": "another version",
}


def installed(directory: Path, order: int = 1) -> Path:
    """Make a directory as pip does."""
    for name in [*FILES][::order]:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FILES[name])
    return directory


def script(tmp_path: Path, name: str = "my_test.py") -> Script:
    """Write a script and read it."""
    path = tmp_path / name
    path.write_text("print()\n")
    return Script.read(path)


def test_its_content(tmp_path: Path) -> None:
    """It has the script, the SDK of this version and the packages, but nothing of this machine."""
    packages = installed(tmp_path / "packages")
    (packages / "tool/data.txt").chmod(0o755)
    content = archive.build(script(tmp_path), {}, packages, Target.of("3.9"))
    assert content.startswith(b"#!/usr/bin/env python3.9\nPK")
    with zipfile.ZipFile(BytesIO(content)) as file:
        assert file.testzip() is None
        members = {entry.filename: entry for entry in file.infolist()}
        assert json.loads(file.read("golo.json"))["compiled_for"] is None
        source = file.read("program/goloagent/sdk/__init__.py")
    assert source == sdk.modules()["goloagent/sdk/__init__.py"]
    program = {name.removeprefix("program/") for name in members if name.startswith("program/")}
    own = {"my_test.py", "tool/__init__.py", "tool/data.txt", "tool-1.dist-info/METADATA"}
    assert program == own | {*sdk.modules()}
    assert members["program/tool/data.txt"].external_attr >> 16 == 0o100755
    assert members["program/my_test.py"].external_attr >> 16 == 0o100644


def test_the_same_bytes(tmp_path: Path) -> None:
    """Times, the order of files in a directory and the mask do not matter."""
    first = archive.build(script(tmp_path), {}, installed(tmp_path / "a"), Target.of("3.9"))
    other = installed(tmp_path / "b", -1)
    for path in other.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    assert archive.build(script(tmp_path), {}, other, Target.of("3.9")) == first


def test_compiled_packages(tmp_path: Path) -> None:
    """The file knows for which Python they are."""
    packages = installed(tmp_path / "packages")
    (packages / "tool/fast.so").write_bytes(b"\x7fELF")
    target = Target.of("3.9", ["manylinux2014_x86_64"])
    with zipfile.ZipFile(BytesIO(archive.build(script(tmp_path), {}, packages, target))) as file:
        about = json.loads(file.read("golo.json"))
    assert about == {
        "script": "my_test.py",
        "oldest": [3, 8],
        "compiled_for": "Python 3.9 on linux x86_64",
    }


def test_the_name_of_a_package(tmp_path: Path) -> None:
    """A script that would hide a package that it needs is refused."""
    packages = installed(tmp_path / "packages")
    with pytest.raises(ClientError, match=r"tool\.py has the name of a package"):
        archive.build(script(tmp_path, "tool.py"), {}, packages, Target.of("3.9"))


def test_the_syntax_of_the_bootstrap() -> None:
    """It is that of Python 3.6, so that old ones can print what they need."""
    ast.parse(Path(bootstrap.__file__).read_bytes(), feature_version=(3, 6))
