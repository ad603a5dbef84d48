"""The files beside a load test, from a job file and from ``--file``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from goloagent.client.config.job_file import JobFile
from goloagent.client.config.plan import DataFile
from goloagent.client.errors import ClientError


def data_files(job_file: JobFile, entries: object, options: Sequence[str]) -> tuple[DataFile, ...]:
    """Return the files of a job file's entries and of options.

    Raises:
        ClientError: one is wrong, or does not exist.
    """
    if not isinstance(entries, list):
        raise ClientError('files must be a list such as [{path = "users.csv"}]')
    files = [_entry(job_file, entry) for entry in entries] + [_file(text) for text in options]
    for file in files:
        if not file.path.is_file():
            reason = "is not a file" if file.path.exists() else "does not exist"
            raise ClientError(f"{file.path} {reason}; it is to be placed beside the load test")
    return tuple(files)


def _entry(job_file: JobFile, entry: object) -> DataFile:
    known = {"path", "name", "split", "header"}
    if isinstance(entry, str):
        entry = {"path": entry}
    if not isinstance(entry, Mapping) or "path" not in entry or set(entry) - known:
        raise ClientError('files must have the members path, name, split = "lines" and header')
    path = job_file.directory / str(entry["path"])
    return DataFile(
        path,
        str(entry.get("name", path.name)),
        entry.get("split") in ("lines", True),
        bool(entry.get("header")),
    )


def _file(text: str) -> DataFile:
    path, *options = text.split(",")
    file = DataFile(Path(path), Path(path).name)
    for option in options:
        if option in ("split", "split=lines"):
            file = attrs.evolve(file, split=True)
        elif option == "header":
            file = attrs.evolve(file, header=True)
        elif option.startswith("name="):
            file = attrs.evolve(file, name=option.removeprefix("name="))
        else:
            raise ClientError(f"--file {text}: {option} is not known; use name=NAME, split, header")
    return file


def file_member(file: DataFile, binary: str) -> dict[str, Any]:
    """Return the member of a job for a file whose upload is `binary`."""
    split = {"split": "lines", "header": file.header} if file.split else {}
    return {"name": file.name, "binary": binary, **split}


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
