"""The SDK's zip file: what is in it, what it needs, and how it is written."""

from __future__ import annotations

import ast
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from goloagent.sdk import archive

MODULES = [
    "goloagent/__init__.py",
    "goloagent/netrpc/__init__.py",
    "goloagent/netrpc/client.py",
    "goloagent/netrpc/decoder.py",
    "goloagent/netrpc/gob.py",
    "goloagent/netrpc/headers.py",
    "goloagent/netrpc/server.py",
    "goloagent/netrpc/value_skipper.py",
    "goloagent/netrpc/wiretypes.py",
    "goloagent/sdk/__init__.py",
    "goloagent/sdk/aiohttp.py",
    "goloagent/sdk/exchange.py",
    "goloagent/sdk/httpx.py",
    "goloagent/sdk/journey.py",
    "goloagent/sdk/reporting.py",
    "goloagent/sdk/requests.py",
    "goloagent/sdk/server.py",
]
# A load test that uses the module of this name has the package.
OPTIONAL = {"aiohttp", "httpx", "requests"}


def members() -> dict[str, bytes]:
    """Return the modules in the archive by their paths."""
    with zipfile.ZipFile(BytesIO(archive.archive())) as file:
        return {name: file.read(name) for name in file.namelist()}


def imported(source: bytes) -> set[str]:
    """Return the modules that a source imports, at its top or within functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not resolved here"
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_it_has_what_the_sdk_needs() -> None:
    """All that its modules import is in it, or in the standard library of every Python."""
    own = {name[:-3].replace("/", ".").removesuffix(".__init__") for name in members()}
    assert [*members()] == MODULES
    for path, source in members().items():
        for name in imported(source):
            root = name.partition(".")[0]
            if root in OPTIONAL:
                assert path == f"goloagent/sdk/{root}.py"
                continue
            assert root in sys.stdlib_module_names or name in own or name.rpartition(".")[0] in own


@pytest.mark.parametrize("name", MODULES)
def test_its_syntax_is_that_of_the_oldest_python(name: str) -> None:
    """Each module is one of Python 3.8."""
    ast.parse(members()[name], feature_version=(3, 8))


def test_it_is_written_once(tmp_path: Path) -> None:
    """An archive that is there is left alone, so that a full disk does not matter."""
    archive.install(tmp_path)
    first = (tmp_path / "sdk.zip").stat()
    archive.install(tmp_path)
    again = (tmp_path / "sdk.zip").stat()
    assert (first.st_ino, first.st_mode & 0o777) == (again.st_ino, 0o444)
    assert [path.name for path in tmp_path.iterdir()] == ["sdk.zip"]


@pytest.mark.parametrize("left", ["", "sdk.zip.new"])
def test_another_one_is_replaced(tmp_path: Path, left: str) -> None:
    """The archive of another version, or one that a kill has cut, is replaced as a whole."""
    (tmp_path / (left or "sdk.zip")).write_bytes(b"another")
    archive.install(tmp_path)
    assert (tmp_path / "sdk.zip").read_bytes() == archive.archive()
    assert [path.name for path in tmp_path.iterdir()] == ["sdk.zip"]


def test_one_that_cannot_be_written(tmp_path: Path) -> None:
    """The error is the system's; what was there stays."""
    (tmp_path / "sdk.zip").write_bytes(b"another")
    (tmp_path / "sdk.zip.new").mkdir()
    with pytest.raises(OSError, match=r"sdk\.zip\.new"):
        archive.install(tmp_path)
    assert (tmp_path / "sdk.zip").read_bytes() == b"another"
