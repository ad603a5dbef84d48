"""A load test that tries to access the agent's files and process, and reports what it could.

The test appends a call of `main`. Successful attempts are undone.
"""

import ctypes
import json
import os
import signal
import socket
import sys
from functools import partial
from pathlib import Path

CALLS = {
    "x86_64": {"ptrace": 101, "unshare": 272, "process_vm_readv": 310, "pidfd_getfd": 438},
    "aarch64": {"ptrace": 117, "unshare": 97, "process_vm_readv": 270, "pidfd_getfd": 438},
}[os.uname().machine]
NEW_USER_NAMESPACE = 0x10000000
PTRACE_SEIZE = 0x4206
libc = ctypes.CDLL(None, use_errno=True)
reached = []
tried = 0


def attempt(what, do, *arguments):
    """Make an attempt, and record it if it succeeds."""
    global tried
    tried += 1
    try:
        do(*arguments)
    except OSError:
        return
    reached.append(what)


def call(name, *arguments):
    """Make a system call."""
    if libc.syscall(CALLS[name], *arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def opened(path, flags=os.O_RDONLY, directory=None):
    """Open a file, relative to an open directory if there is one."""
    os.close(os.open(path, flags | os.O_NONBLOCK, 0o600, dir_fd=directory))


def opened_from_directory(path, flags):
    """Open a file relative to a descriptor of its directory."""
    directory = os.open(Path(path).parent, os.O_PATH | os.O_DIRECTORY)
    try:
        opened(Path(path).name, flags, directory)
    finally:
        os.close(directory)


def opened_again(path):
    """Open a file through an O_PATH descriptor."""
    named = os.open(path, os.O_PATH)
    try:
        opened(f"/proc/self/fd/{named}")
    finally:
        os.close(named)


def opened_by_link(make, path):
    """Open a file through a link in the own directory."""
    make(path, "link")
    try:
        opened("link")
    finally:
        Path("link").unlink()


def opened_in_chroot(path):
    """Open a file after a chroot to its directory, in a user namespace."""
    child = os.fork()
    if child == 0:
        try:
            call("unshare", NEW_USER_NAMESPACE)
            os.chroot(Path(path).parent)
            opened(f"/{Path(path).name}")
        except OSError:
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        raise OSError


def truncated(path):
    """Truncate a file to its own length."""
    os.truncate(path, Path(path).stat().st_size)


def renamed(source, target):
    """Rename a file or a directory, and undo it."""
    Path(source).rename(target)
    Path(target).rename(source)


def planted(make, remove, path):
    """Create an entry and remove it."""
    make(path)
    remove(path)


def read(path):
    """Read a byte of a file."""
    with Path(path).open("rb") as file:
        file.read(1)


def try_file(path, pids):
    """Try to read, change and move a file."""
    for kind, flags in (("read", os.O_RDONLY), ("write", os.O_WRONLY), ("both", os.O_RDWR)):
        attempt(f"{kind} {path}", opened, path, flags)
        attempt(f"{kind} from its directory {path}", opened_from_directory, path, flags)
    attempt(f"open again {path}", opened_again, path)
    attempt(f"truncate {path}", truncated, path)
    attempt(f"link {path}", opened_by_link, os.link, path)
    attempt(f"symlink {path}", opened_by_link, os.symlink, path)
    attempt(f"chroot to {path}", opened_in_chroot, path)
    attempt(f"take {path}", renamed, path, "taken")
    attempt(f"rename {path}", renamed, path, f"{path}.renamed")
    up = "../" * 16 + path[1:]
    for there in [f"self/root{path}", f"self/cwd/{up}"] + [
        f"{pid}/{way}" for pid in pids for way in (f"root{path}", f"cwd/{up}")
    ]:
        attempt(f"read /proc/{there}", opened, f"/proc/{there}")


def try_directory(path):
    """Try to list a directory and to create entries in it."""
    attempt(f"list {path}", os.listdir, path)
    attempt(f"list /proc/self/root{path}", os.listdir, f"/proc/self/root{path}")
    create = partial(opened, flags=os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    for kind, make, remove in (
        ("file", create, os.unlink),
        ("directory", os.mkdir, os.rmdir),
        ("symlink", partial(os.symlink, "/"), os.unlink),
        ("pipe", os.mkfifo, os.unlink),
        ("link", partial(os.link, "own"), os.unlink),
    ):
        attempt(f"plant a {kind} in {path}", planted, make, remove, f"{path}/planted")
    attempt(f"move into {path}", renamed, "own", f"{path}/planted")
    attempt(f"rename {path}", renamed, path, f"{path}.renamed")
    attempt(f"take {path}", renamed, path, "taken")


def try_process(pid):
    """Try to read a process, trace it and signal it."""
    for name in ("environ", "mem", "maps", "auxv", "stack"):
        attempt(f"read /proc/{pid}/{name}", read, f"/proc/{pid}/{name}")
    # The number of descriptors is visible; their targets must not be.
    for number in range(32):
        attempt(f"look at descriptor {number} of {pid}", os.readlink, f"/proc/{pid}/fd/{number}")
        attempt(f"open descriptor {number} of {pid}", opened, f"/proc/{pid}/fd/{number}")
    for name in ("fdinfo", "map_files", "root", "cwd"):
        attempt(f"list /proc/{pid}/{name}", os.listdir, f"/proc/{pid}/{name}")
    attempt(f"write /proc/{pid}/mem", opened, f"/proc/{pid}/mem", os.O_RDWR)
    attempt(f"trace {pid}", call, "ptrace", PTRACE_SEIZE, pid, 0, 0)
    byte = ctypes.create_string_buffer(1)
    piece = (ctypes.c_void_p * 2)(ctypes.addressof(byte), 1)
    attempt(f"copy memory of {pid}", call, "process_vm_readv", pid, piece, 1, piece, 1, 0)
    for number in (0, signal.SIGURG):  # ignored by default
        attempt(f"signal {pid} with {number}", os.kill, pid, number)
    try:
        held = os.pidfd_open(pid)
    except OSError:
        return  # not visible from here
    attempt(f"copy descriptor 0 of {pid}", call, "pidfd_getfd", held, 0, 0)
    attempt(f"signal {pid} by a descriptor", signal.pidfd_send_signal, held, 0)
    os.close(held)


def try_cgroup(path):
    """Try to join and to control a cgroup."""
    for name in ("procs", "threads", "kill", "freeze", "subtree_control"):
        attempt(f"write {path}/cgroup.{name}", opened, f"{path}/cgroup.{name}", os.O_WRONLY)
    attempt(f"plant a cgroup in {path}", planted, os.mkdir, os.rmdir, f"{path}/planted")


def is_allowed(what, readable):
    """Whether the attempt only reads a file that load tests may read."""
    reading = what.startswith(("read ", "open again ", "symlink ", "chroot to "))
    return reading and any(what.endswith(path) for path in readable)


def main(given):
    """Make all attempts and print the report."""
    Path("own").write_text("mine")
    pids = {given["agent"], os.getppid()}
    for path in given["files"]:
        try_file(path, pids)
    for path in given["directories"]:
        try_directory(path)
    for pid in pids:
        try_process(pid)
    if given["cgroup"] is not None:
        try_cgroup(given["cgroup"])
    # The agent's HTTP port is reachable.
    socket.create_connection(("127.0.0.1", given["port"])).close()
    descriptors = list(
        Path("/proc/self/fd").iterdir()
    )  # includes the descriptor of the listing, which is closed
    report = {
        "reached": [what for what in reached if not is_allowed(what, given["readable"])],
        "tried": tried,
        "environment": dict(os.environ),
        "descriptors": [path.name for path in descriptors if path.exists()],
        # Some runtimes read the number of CPUs there.
        "controllers": given["cgroup"] and Path(given["cgroup"], "cgroup.controllers").read_text(),
        "beside": Path(given["beside"]).read_text(),
        "own": sorted(path.name for path in Path().iterdir()),
    }
    print(json.dumps(report), file=sys.stderr)
