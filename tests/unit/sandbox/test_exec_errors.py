"""Why a program cannot be executed."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest

from goloagent.sandbox.exec_errors import explain


def elf(loader: bytes | None = None, machine: int = 62, wide: bool = True) -> bytes:
    """Return the head of an ELF program, and its loader's path."""
    table, size = (64, 56) if wide else (52, 32)
    text = b"" if loader is None else loader + b"\0"
    offset = table + size
    if wide:
        head = struct.pack(
            "<16sHHIQQQIHHHHHH",
            b"\x7fELF\x02\x01\x01",
            2,
            machine,
            1,
            0,
            table,
            0,
            0,
            64,
            size,
            int(bool(text)),
            0,
            0,
            0,
        )
        segment = struct.pack("<IIQQQQQQ", 3, 4, offset, 0, 0, len(text), len(text), 1)
    else:
        head = struct.pack(
            "<16sHHIIIIIHHHHHH",
            b"\x7fELF\x01\x01\x01",
            2,
            machine,
            1,
            0,
            table,
            0,
            0,
            52,
            size,
            int(bool(text)),
            0,
            0,
            0,
        )
        segment = struct.pack("<8I", 3, offset, 0, 0, len(text), len(text), 4, 1)
    return head + segment + text


@pytest.mark.parametrize(
    ("program", "number", "expected"),
    [
        (
            b"#!/usr/bin/python3\r\nprint(1)\r\n",
            errno.ENOENT,
            "its interpreter /usr/bin/python3\\r does not exist: the script has Windows line ends"
            " (CRLF); save it with LF",
        ),
        (
            b"#!/opt/jdk/bin/java\n",
            errno.ENOENT,
            "its interpreter /opt/jdk/bin/java: No such file or directory",
        ),
        (
            b"#! \t/opt/gone -u\nx",
            errno.ENOENT,
            "its interpreter /opt/gone: No such file or directory",
        ),
        (b"#!/opt/gone", errno.ENOENT, "its interpreter /opt/gone: No such file or directory"),
        (b"#!/usr\n", errno.EACCES, "its interpreter /usr is a directory"),
        (b"#!/etc/passwd\n", errno.EACCES, "its interpreter /etc/passwd may not be executed"),
        (
            elf(b"/lib/ld-musl-none.so.1"),
            errno.ENOENT,
            "its loader /lib/ld-musl-none.so.1: No such file or directory; it may be made for"
            " another C library",
        ),
        (
            elf(b"/lib/ld-none.so.2", 3, wide=False),
            errno.ENOENT,
            "its loader /lib/ld-none.so.2: No such file or directory; it may be made for another"
            " C library",
        ),
        (elf(machine=22), errno.ENOEXEC, f"it is made for s390x, and this is {os.uname().machine}"),
        (b"#!\n", errno.ENOEXEC, None),
        (b"\x7fELF", errno.ENOEXEC, None),
        (b"", errno.ENOEXEC, None),
        (elf()[:70], errno.ENOEXEC, None),
    ],
)
def test_explain(tmp_path: Path, program: bytes, number: int, expected: str | None) -> None:
    """The file that is missing or unusable is named, if there is one."""
    path = tmp_path / "loadtest"
    path.write_bytes(program)
    path.chmod(0o755)
    found = explain(str(path), number)
    assert found == (expected and expected.replace("this is x86_64", "this is x86-64"))


def test_the_interpreter_of_an_interpreter(tmp_path: Path) -> None:
    """Interpreters are followed as the kernel does, up to its maximum."""
    inner = tmp_path / "inner"
    inner.write_text("#!/opt/gone\n")
    inner.chmod(0o755)
    outer = tmp_path / "outer"
    outer.write_text(f"#!{inner}\n")
    assert explain(str(outer), errno.ENOENT) == (
        "its interpreter /opt/gone: No such file or directory"
    )
    inner.write_text(f"#!{inner}\n")
    assert explain(str(outer), errno.ELOOP) is None


def test_an_unreadable_program(tmp_path: Path) -> None:
    """The errno is all that is known."""
    assert explain(str(tmp_path / "gone"), errno.EACCES) is None
