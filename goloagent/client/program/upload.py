"""The file that is uploaded for the program of a run, and its arguments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile

import attrs

from goloagent.client.program.source import ProgramSource
from goloagent.loadtests import source as bundled

BUNDLED = {"command": "command", "url": "http_get"}


@attrs.frozen
class Upload:
    """A file to upload under a name.

    Args:
        args: of the load test, before those of the job.
    """

    path: Path
    name: str
    args: tuple[str, ...] = ()


@contextmanager
def upload_of(program: ProgramSource, directory: Path | None = None) -> Iterator[Upload]:
    """Yield the upload of a program; a file that is made for it is removed at the exit.

    Args:
        directory: where a command runs; by default in the directory of the job.

    Raises:
        ClientError: a Python script cannot be packed.
    """
    if program.kind == "file":
        assert program.path is not None
        yield Upload(program.path, program.path.name)
        return
    args = program.words
    if program.kind == "python":
        from goloagent.client.packing import program_of

        assert program.path is not None
        packed = program_of(program.path, program.requirements)
        if isinstance(packed, Path):
            yield Upload(packed, program.path.name)
            return
        name, content, args = program.path.name, packed, ()
    else:
        name = BUNDLED[program.kind]
        content = bundled(name)
        if program.kind == "command" and directory is not None:
            args = ("--directory", str(directory), *args)
    # Without a name nothing is left of it after a kill; in a chroot there may be no /proc.
    has_proc = Path("/proc/self/fd").is_dir()
    with TemporaryFile(prefix="golo-") if has_proc else NamedTemporaryFile(prefix="golo-") as made:
        made.write(content)
        made.flush()
        path = f"/proc/self/fd/{made.fileno()}" if has_proc else made.name
        yield Upload(Path(path), name, args)
