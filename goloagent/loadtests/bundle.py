"""Packs a bundled load test and the SDK into one file, which Python executes (PEP 441)."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path

from goloagent.sdk import archive

_PACKAGE = Path(__file__).parent


def executable(name: str, interpreter: str) -> bytes:
    """Return the file of the load test in the module `name`."""
    content = BytesIO(archive.archive())
    with zipfile.ZipFile(content, "a") as file:
        for path in sorted(_PACKAGE.glob("*.py")):
            if path != Path(__file__):
                inner = f"{_PACKAGE.parent.name}/{_PACKAGE.name}/{path.name}"
                file.writestr(zipfile.ZipInfo(inner), path.read_bytes())
        main = f"from {_PACKAGE.parent.name}.{_PACKAGE.name}.{name} import main\n\nmain()\n"
        file.writestr(zipfile.ZipInfo("__main__.py"), main)
    return f"#!{interpreter}\n".encode() + content.getvalue()
