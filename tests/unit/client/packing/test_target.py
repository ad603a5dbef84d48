"""The Python of the agent: the interpreter and the version that an option means."""

from __future__ import annotations

import pytest

from goloagent.client.errors import ClientError
from goloagent.client.packing.target import Target


@pytest.mark.parametrize(
    ("python", "interpreter", "version"),
    [
        (None, "/usr/bin/env python3", None),
        ("3.9", "/usr/bin/env python3.9", (3, 9)),
        ("python3.12", "/usr/bin/env python3.12", (3, 12)),
        ("/opt/python/bin/python3", "/opt/python/bin/python3", None),
        ("#!/usr/bin/python3.10 -X dev", "/usr/bin/python3.10 -X dev", (3, 10)),
        ("/usr/bin/env -S python3 -O", "/usr/bin/env -S python3 -O", None),
    ],
)
def test_interpreters(
    python: str | None, interpreter: str, version: tuple[int, int] | None
) -> None:
    """A version, a command and a path each name one."""
    target = Target.of(python)
    assert (target.interpreter, target.version) == (interpreter, version)


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        ("node", "is not a version"),
        ("", "is not a version"),
        ("2.7", "is not a version"),
        ("/usr/bin/python3\nrm", "is not a version"),
        ("3.7", "the SDK needs Python 3.8 or newer"),
        ("/" + "x" * 125 + "/python3", "longer than 125 bytes"),
    ],
)
def test_wrong_interpreters(python: str, sentence: str) -> None:
    """The error names the option."""
    with pytest.raises(ClientError, match=sentence) as error:
        Target.of(python)
    assert "--python" in str(error.value)


def test_another_platform() -> None:
    """Its name has the machine, as the bootstrap prints it."""
    target = Target.of("3.9", ["manylinux_2_28_aarch64"])
    assert target.name == "Python 3.9 on linux aarch64"
