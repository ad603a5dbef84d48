"""The input of a load test: arguments, environment variables, files, and how it is driven."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeGuard

import attrs

Drive = Literal["netrpc", "jsonrpc", "self"]
DRIVES: tuple[Drive, ...] = ("netrpc", "jsonrpc", "self")

MAX_ARGS = 256
MAX_ENV = 256
MAX_FILES = 16
MAX_TAGS = 16
MAX_BYTES = 32 * 1024
"""Of all arguments, or of all variables, together."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
PROGRAM = "loadtest"
"""The name of the program in the job's directory."""
_TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
# The agent's own, and the dynamic linker's, which would change more than the load test.
_RESERVED_PREFIXES = ("GOLO_", "LD_")


class InvalidInput(ValueError):
    """A member is wrong; the message names it and says what is allowed."""


@attrs.frozen
class InputFile:
    """A file that is placed in the job's directory.

    Attributes:
        binary: the upload that has its content.
        split: each agent of a fleet gets its share of the lines, and all of them the first one if
            it is a `header`.
    """

    name: str
    binary: str
    split: bool = False
    header: bool = False


@attrs.frozen
class LoadTestInput:
    """The input of a load test; values of variables are secret, so `repr` omits them."""

    args: tuple[str, ...] = ()
    env: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    files: tuple[InputFile, ...] = ()
    drive: Drive = "netrpc"


def parse_input(members: Mapping[str, Any]) -> LoadTestInput:
    """Read the members ``args``, ``env``, ``files`` and ``drive`` of a job; each may be missing.

    Raises:
        InvalidInput: one is not as it must be.
    """
    members = {name: value for name, value in members.items() if value is not None}
    drive = members.get("drive") or "netrpc"  # Go has an empty text for a missing one
    if drive not in DRIVES:
        raise InvalidInput(f"drive must be one of: {', '.join(DRIVES)}")
    return LoadTestInput(
        args=_args(members.get("args", [])),
        env=_env(members.get("env", {})),
        files=_files(members.get("files", [])),
        drive=drive,
    )


def parse_tags(tags: object) -> dict[str, str]:
    """Read the member ``tags``, which outputs and reports show.

    Raises:
        InvalidInput: it is not an object of texts, or there are too many.
    """
    if not isinstance(tags, Mapping) or len(tags) > MAX_TAGS:
        raise InvalidInput(f'tags must be an object of at most {MAX_TAGS}, such as {{"a": "1"}}')
    for name, value in tags.items():
        if _TAG.fullmatch(name) and not isinstance(value, str):
            raise InvalidInput(f"tags.{name} must be a text: put it in quotes")
        if not _TAG.fullmatch(name) or not 0 < len(value) <= 256:
            raise InvalidInput(
                f"tags.{name[:40]}: a name is letters, digits and _, a value a text of 1 to 256"
            )
    return dict(tags)


def _args(args: object) -> tuple[str, ...]:
    if not _is_list(args) or len(args) > MAX_ARGS or not all(_is_text(arg) for arg in args):
        raise InvalidInput(f'args must be a list of at most {MAX_ARGS} texts, such as ["--cart"]')
    _check_size("args", args)
    return tuple(args)


def _env(env: object) -> dict[str, str]:
    if not isinstance(env, Mapping) or len(env) > MAX_ENV:
        raise InvalidInput(
            f'env must be an object of at most {MAX_ENV} texts, such as {{"A": "1"}}'
        )
    for name, value in env.items():
        if not _VARIABLE.fullmatch(name):
            raise InvalidInput(f"env.{name[:40]}: a name is letters, digits and _, no digit first")
        if name.startswith(_RESERVED_PREFIXES):
            raise InvalidInput(f"env.{name[:40]} is reserved: choose a name without GOLO_ or LD_")
        if not isinstance(value, str):
            raise InvalidInput(f"env.{name[:40]} must be a text: put it in quotes")
        if not _is_text(value):
            raise InvalidInput(f"env.{name[:40]} must be a text without a NUL")
    _check_size("env", [*env, *env.values()])
    return dict(env)


def _files(files: object) -> tuple[InputFile, ...]:
    if not _is_list(files) or len(files) > MAX_FILES:
        raise InvalidInput(
            f'files must be a list of at most {MAX_FILES}, such as [{{"name": "a", "binary": "…"}}]'
        )
    found = tuple(_file(f"files[{number}]", one) for number, one in enumerate(files))
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(f"files: {name} is there twice")
    return found


def _file(place: str, one: object) -> InputFile:
    if not isinstance(one, Mapping):
        raise InvalidInput(f'{place} must be an object such as {{"name": "a", "binary": "…"}}')
    unknown = sorted(set(one) - {"name", "binary", "split", "header"})
    if unknown:
        raise InvalidInput(
            f"{place}.{unknown[0][:40]} is not known: use name, binary, split, header"
        )
    name, binary = one.get("name"), one.get("binary")
    if not isinstance(name, str) or not _FILE_NAME.fullmatch(name):
        raise InvalidInput(f"{place}.name must be 1 to 128 of A-Z a-z 0-9 _ . -, not . or - first")
    if name == PROGRAM:
        raise InvalidInput(f"{place}.name {PROGRAM} is that of the program: choose another")
    if not isinstance(binary, str) or not binary:
        raise InvalidInput(f"{place}.binary must be the id of an upload")
    if one.get("split") not in (None, "lines"):
        raise InvalidInput(f'{place}.split must be "lines"')
    if not isinstance(one.get("header", False), bool):
        raise InvalidInput(f"{place}.header must be true or false")
    return InputFile(name, binary, one.get("split") == "lines", one.get("header", False))


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def _check_size(member: str, texts: Sequence[str]) -> None:
    size = sum(len(text.encode(errors="surrogatepass")) + 1 for text in texts)
    if size > MAX_BYTES:
        raise InvalidInput(f"{member} has {size} bytes: at most {MAX_BYTES} are allowed")
