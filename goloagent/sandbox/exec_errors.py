"""Why a program cannot be executed, if the errno alone is misleading.

The kernel reports a missing interpreter or loader as if the program itself were missing. The
launcher imports this module: it needs the standard library only.
"""

import errno
import os
import struct
from collections.abc import Iterator

_HEAD_BYTES = 4096
_LINE_BYTES = 256  # execve(2): the kernel reads no more of the first line
_MAX_INTERPRETERS = 5  # one more is ELOOP
_PT_INTERP = 3  # elf(5), from here on
_MACHINES = {
    3: "x86",
    40: "arm",
    62: "x86-64",
    183: "aarch64",
    243: "riscv",
    22: "s390x",
    21: "ppc64",
}
_HOSTS = {
    "x86_64": "x86-64",
    "i686": "x86",
    "armv7l": "arm",
    "riscv64": "riscv",
    "ppc64le": "ppc64",
}


def explain(program: str, number: int | None) -> str | None:
    """Return why a program cannot be executed, or None if its errno `number` says it all."""
    path, head = program, _head(program)
    for _ in range(_MAX_INTERPRETERS):
        if head is None:
            return None
        if (needed := _interpreter(head)) is None:
            break
        kind, path = needed
        reason = _unreachable(path)
        if reason is not None:
            return f"its {kind} {reason}"
        head = _head(path)
    if number == errno.ENOEXEC:
        return _wrong_machine(head)
    if number == errno.EACCES and _is_noexec(program):
        return f"{os.path.dirname(program)} is on a file system mounted noexec"  # noqa: PTH120
    return None


def _head(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read(_HEAD_BYTES)
    except OSError:
        return None  # executable but not readable


def _interpreter(head: bytes) -> tuple[str, str] | None:
    """Return ``interpreter`` or ``loader``, and its path, if a program needs one."""
    if head.startswith(b"#!"):
        line = head[2:_LINE_BYTES].partition(b"\n")[0].strip(b" \t")
        interpreter = line.replace(b"\t", b" ").partition(b" ")[0]
        return ("interpreter", os.fsdecode(interpreter)) if interpreter else None
    for kind, offset, size in _segments(head):
        if kind == _PT_INTERP and offset + size <= len(head):
            return "loader", os.fsdecode(head[offset : offset + size].rstrip(b"\0"))
    return None


def _segments(head: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the type, offset and size of the segments of an ELF file that its head contains."""
    if head[:4] != b"\x7fELF" or len(head) < 64:
        return
    order = ">" if head[5] == 2 else "<"
    wide = head[4] == 2
    (table,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", head, 32 if wide else 28)
    size, count = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
    for number in range(count):
        start = table + number * size
        if start + (40 if wide else 20) > len(head):
            return
        if wide:
            kind, _, offset, _, _, length = struct.unpack_from(f"{order}IIQQQQ", head, start)
        else:
            kind, offset, _, _, length = struct.unpack_from(f"{order}5I", head, start)
        yield kind, offset, length


def _unreachable(path: str) -> str | None:
    """Return why a file cannot be executed, or None if no reason is found."""
    if path.endswith("\r"):
        hint = "the script has Windows line ends (CRLF); save it with LF"
        return f"{path[:-1]}\\r does not exist: {hint}"
    try:
        os.stat(path)  # noqa: PTH116
    except PermissionError:
        directory = _closed_directory(os.path.realpath(path))
        return f"{path} cannot be reached: {directory} may not be entered"
    except OSError as error:
        hint = "; it may be made for another C library" if "/ld-" in path else ""
        return f"{path}: {error.strerror}{hint}"
    if os.path.isdir(path):  # noqa: PTH112
        return f"{path} is a directory"
    if not os.access(path, os.X_OK):
        return f"{path} may not be executed"
    return None


def _closed_directory(path: str) -> str:
    """Return the topmost directory of a path that may not be entered."""
    directory = "/"
    for name in path.split("/")[:-1]:
        directory = os.path.join(directory, name)  # noqa: PTH118
        if not os.access(directory, os.X_OK):
            break
    return directory


def _wrong_machine(head: bytes | None) -> str | None:
    if head is None or head[:4] != b"\x7fELF" or len(head) < 20:
        return None
    (number,) = struct.unpack_from(">H" if head[5] == 2 else "<H", head, 18)
    here = _HOSTS.get(os.uname().machine, os.uname().machine)
    machine = _MACHINES.get(number, f"machine {number}")
    return None if machine == here else f"it is made for {machine}, and this is {here}"


def _is_noexec(program: str) -> bool:
    try:
        return bool(os.statvfs(program).f_flag & os.ST_NOEXEC)
    except OSError:
        return False
