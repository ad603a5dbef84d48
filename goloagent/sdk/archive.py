"""The Python SDK as one zip file in the state directory, which load tests find by PYTHONPATH.

A load test runs in the Python that its first line names, where the agent is not installed, and as a
user who may be unable to read the agent's packages. The SDK needs the standard library only.
"""

from __future__ import annotations

import os
import stat
import zipfile
from contextlib import suppress
from io import BytesIO
from pathlib import Path

NAME = "sdk.zip"
_MODE = 0o444
_PACKAGE = Path(__file__).parents[1]
_MODULES = ("__init__.py", "netrpc/*.py", "sdk/*.py")
# The agent's own.
_OMITTED = Path(__file__)


def modules() -> dict[str, bytes]:
    """Return the modules of the SDK by their paths in the zip file."""
    paths = [path for pattern in _MODULES for path in sorted(_PACKAGE.glob(pattern))]
    paths.remove(_OMITTED)
    return {f"{_PACKAGE.name}/{path.relative_to(_PACKAGE)}": path.read_bytes() for path in paths}


def archive() -> bytes:
    """Return the zip file, the same bytes for the same modules."""
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in modules().items():
            file.writestr(zipfile.ZipInfo(name), content)
    return archive.getvalue()


def install(directory: Path) -> None:
    """Write the zip file into `directory`, readable by all users, unless it is up to date.

    Raises:
        OSError: it cannot be written; an existing file is unchanged.
    """
    path, content = directory / NAME, archive()
    with suppress(OSError):
        status = path.stat()  # reading a FIFO would block
        is_ours = stat.S_ISREG(status.st_mode) and status.st_mode & 0o777 == _MODE
        if is_ours and path.read_bytes() == content:
            return
    new = directory / f"{NAME}.new"
    new.unlink(missing_ok=True)
    with new.open("xb") as file:
        file.write(content)
        os.fchmod(file.fileno(), _MODE)
    new.replace(path)
