"""A load test in Python: its source, its ``#!`` line and its inline metadata (PEP 723)."""

from __future__ import annotations

import ast
import re
import sys
import tokenize
from io import BytesIO
from pathlib import Path

import attrs

from goloagent.client.errors import ClientError
from goloagent.client.packing.target import OLDEST, is_python

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# As in PEP 723.
_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
_BOM = b"\xef\xbb\xbf"


@attrs.frozen
class Script:
    """A script.

    Args:
        interpreter: its ``#!`` line without the mark, if that runs a Python.
        dependencies: the requirements in its metadata, without golo-agent, which has the SDK.
        oldest: the oldest Python of its ``requires-python``.
    """

    path: Path
    content: bytes
    interpreter: str | None
    dependencies: tuple[str, ...]
    oldest: tuple[int, int]

    @classmethod
    def read(cls, path: Path) -> Script:
        """Read a script.

        Raises:
            ClientError: it cannot be read, is not Python source, or its metadata is wrong.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ClientError(f"cannot read {path}: {error.strerror}; give another file") from None
        try:
            encoding, _ = tokenize.detect_encoding(BytesIO(content).readline)
            text = content.decode(encoding).replace("\r\n", "\n")
            if "\0" in text:
                raise ValueError("it has zero bytes")
        except (SyntaxError, ValueError):
            raise ClientError(f"{path} is not Python source: give a .py file") from None
        first = text.partition("\n")[0]
        interpreter = first[2:].strip() if first.startswith("#!") else ""
        dependencies, oldest = _metadata(path, text)
        return cls(
            path, content, interpreter if is_python(interpreter) else None, dependencies, oldest
        )

    def check_syntax(self, version: tuple[int, int] | None) -> None:
        """Check the syntax as far as this process knows that of a version; None is its own.

        Raises:
            ClientError: the source is not Python; with the line.
        """
        version = version or sys.version_info[:2]
        if version > sys.version_info[:2]:
            return
        try:
            ast.parse(self.content, feature_version=version)
        except SyntaxError as error:
            raise ClientError(
                f"{self.path}, line {error.lineno}: {error.msg}; correct it, or give a Python file"
            ) from None
        except (RecursionError, ValueError) as error:
            raise ClientError(f"{self.path} is not valid Python: {error}; correct it") from None

    def with_interpreter(self, interpreter: str) -> bytes:
        """Return the content with a ``#!`` line that Linux can run."""
        content = self.content.removeprefix(_BOM)
        if content.startswith(b"#!"):
            content = content.partition(b"\n")[2]
        return f"#!{interpreter}\n".encode() + content


def _metadata(path: Path, text: str) -> tuple[tuple[str, ...], tuple[int, int]]:
    """Return the requirements and the oldest Python of a script's inline metadata."""
    blocks = [block for block in _BLOCK.finditer(f"{text}\n") if block["type"] == "script"]
    if not blocks:
        return (), OLDEST
    wrong = f"the inline metadata of {path} (# /// script)"
    if len(blocks) > 1:
        raise ClientError(f"{wrong} is there more than once: keep one block")
    lines = blocks[0]["content"].splitlines()
    try:
        table = tomllib.loads("\n".join(line[2:] for line in lines))
    except tomllib.TOMLDecodeError as error:
        raise ClientError(f"{wrong} is not TOML: {error}; correct it") from None
    dependencies = table.get("dependencies", [])
    if not isinstance(dependencies, list) or not all(isinstance(one, str) for one in dependencies):
        raise ClientError(f"{wrong}: dependencies must be an array of strings; correct it")
    minor = re.search(r"(?:>=|~=|==)\s*3\.(\d+)", str(table.get("requires-python", "")))
    oldest = max(OLDEST, (3, int(minor[1]))) if minor else OLDEST
    own = re.compile(r"\s*golo[-_.]agent\b(?![-_.])", re.IGNORECASE)
    return tuple(one for one in dependencies if not own.match(one)), oldest
