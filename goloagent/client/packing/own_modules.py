"""The modules beside a script that it imports, which are packed with it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from goloagent.client.errors import ClientError

MAX_FILES = 2000


def find(script: Path, source: bytes) -> dict[str, bytes]:
    """Return the files of the modules, and of those that they import, by their names.

    A package has all its files, because it may read them.

    Raises:
        ClientError: a file cannot be read, or there are too many.
    """
    found: dict[str, bytes] = {}
    directory = script.parent
    sources = [source]
    while sources:
        content = sources.pop()
        for name in _imported(content):
            for file in _files(directory, name):
                inner = file.relative_to(directory).as_posix()
                if inner in found or file == script:
                    continue
                if len(found) == MAX_FILES:
                    raise ClientError(
                        f"{script} imports more than {MAX_FILES} files beside it: install them as "
                        "a package, by --with"
                    )
                found[inner] = _read(file)
                if file.suffix == ".py":
                    sources.append(found[inner])
    return found


def _imported(source: bytes) -> set[str]:
    """Return the first parts of the names of the modules that a source imports."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        # The script itself is checked for the Python that runs it.
        return set()
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names - {"goloagent"}  # the SDK, which is in the file already


def _files(directory: Path, name: str) -> Iterator[Path]:
    """Yield the files of the module that Python imports by a name from a directory."""
    package, module = directory / name, directory / f"{name}.py"
    if (package / "__init__.py").is_file():
        for path in sorted(package.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(directory).parts)
            if path.is_file() and path.suffix != ".pyc" and not hidden:
                yield path
    elif module.is_file():
        yield module


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ClientError(f"cannot read {path}: {error.strerror}; correct it") from None
