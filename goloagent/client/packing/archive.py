"""The executable file: a zip archive after a ``#!`` line, the same bytes for the same content."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path

from goloagent.client.errors import ClientError
from goloagent.client.packing.script import Script
from goloagent.client.packing.target import Target
from goloagent.sdk import archive as sdk

_BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
_PROGRAM = "program"
# They differ from one installation to the next, and nothing of a load test needs them.
_OMITTED = {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json"}
_COMPILED = {".so", ".pyd", ".dylib"}
_EXECUTABLE, _ORDINARY = 0o100755, 0o100644


def build(script: Script, own: Mapping[str, bytes], installed: Path, target: Target) -> bytes:
    """Return the file of a script and of the packages in a directory.

    Args:
        own: the files of the modules beside the script.

    Raises:
        ClientError: the script has the name of one of its packages.
    """
    members = {name: (content, _ORDINARY) for name, content in sdk.modules().items()}
    members |= dict(_packages(installed))
    if script.path.name in members or any(
        name.startswith(f"{script.path.stem}/") for name in members
    ):
        raise ClientError(f"{script.path.name} has the name of a package that it needs: rename it")
    members |= {name: (content, _ORDINARY) for name, content in own.items()}
    members[script.path.name] = (script.content, _ORDINARY)
    compiled = any(Path(name).suffix in _COMPILED for name in members)
    about = {
        "script": script.path.name,
        "oldest": script.oldest,
        "compiled_for": target.name if compiled else None,
    }
    file = BytesIO(f"#!{target.interpreter}\n".encode())
    file.seek(0, 2)
    with zipfile.ZipFile(file, "w") as archive:
        _write(archive, "__main__.py", _BOOTSTRAP.read_bytes(), _ORDINARY)
        _write(archive, "golo.json", json.dumps(about).encode(), _ORDINARY)
        for name, (content, mode) in sorted(members.items()):
            _write(archive, f"{_PROGRAM}/{name}", content, mode)
    return file.getvalue()


def _write(archive: zipfile.ZipFile, name: str, content: bytes, mode: int) -> None:
    entry = zipfile.ZipInfo(name)  # of 1980
    entry.external_attr = mode << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)


def _packages(installed: Path) -> Iterator[tuple[str, tuple[bytes, int]]]:
    """Yield the files of the packages: name, content and mode."""
    for path in installed.rglob("*"):
        name = path.relative_to(installed)
        omitted = path.suffix == ".pyc" or (
            path.name in _OMITTED and path.parent.suffix == ".dist-info"
        )
        # The scripts in bin name the Python of this machine; the SDK is in the file already.
        if name.parts[0] in {"bin", "goloagent"} or omitted or not path.is_file():
            continue
        mode = _EXECUTABLE if path.stat().st_mode & 0o111 else _ORDINARY
        yield name.as_posix(), (path.read_bytes(), mode)
