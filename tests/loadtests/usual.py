"""A load test that uses files, programs and processes in a directory below a protected one."""

import mmap
import os
import pty
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

# Own files in own directories.
for name in ("a", "b"):
    Path(name).mkdir()
Path("a/file").write_text("text")
Path("a/file").rename("b/file")
Path("a/link").hardlink_to("b/file")
Path("symlink").symlink_to("b/file")
os.truncate("symlink", 2)
os.mkfifo("pipe")
assert Path("a/link").read_text() == "te"
with tempfile.NamedTemporaryFile() as file:
    file.write(b"temporary")

# Programs: a script, a system program, one in memory, and the output of a compiler.
Path("program").write_text("#!/bin/sh\nexec cat /dev/stdin >/dev/stderr\n")
Path("program").chmod(0o700)
subprocess.run(["./program"], input=b"by a script\n", check=True)
subprocess.run("ls /usr /proc/self/fd >/dev/null && ls | sort | tail -n 1", shell=True, check=True)
copy = os.memfd_create("copy")
os.write(copy, Path("/bin/true").read_bytes())
subprocess.run([f"/proc/self/fd/{copy}"], pass_fds=[copy], check=True)
mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()

# Files that every user may use.
os.close(pty.openpty()[1])
with Path("/dev/urandom").open("rb") as random:
    Path("/dev/null").write_bytes(random.read(8))
Path("/proc/self/comm").write_text("usual")
shared = Path(f"/dev/shm/golo-agent-test-{os.getpid()}")
shared.write_text("shared")
shared.unlink()
for family, address in (
    (socket.AF_INET, ("127.0.0.1", 0)),
    (socket.AF_UNIX, "socket"),
    (socket.AF_UNIX, f"\0golo-agent-test-{os.getpid()}"),
):
    with socket.socket(family) as listener, socket.socket(family) as client:
        listener.bind(address)
        listener.listen()
        client.connect(listener.getsockname())

# Child processes.
child = os.fork()
if child == 0:
    os.setsid()
    signal.pause()
assert Path(f"/proc/{child}/environ").read_bytes()
os.kill(child, signal.SIGTERM)
os.waitpid(child, 0)

try:
    Path("../protected").read_text()
except PermissionError:
    print("all but the protected file", flush=True)
os.kill(0, signal.SIGTERM)
