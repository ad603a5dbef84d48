"""A fresh Debian with systemd in kernel namespaces.

Its files are in memory, in an overlay over the directory of its root.
"""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs

from goloagent.sandbox import cgroup

BOOT_SECONDS = 60
# Programs that build the Debian package and a fresh Debian.
TOOLS = {
    "/usr/bin/pip3": "python3-pip",
    "dh": "debhelper",
    "dpkg-buildpackage": "dpkg-dev",
    "mmdebstrap": "mmdebstrap",
}
missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]

# The machine has the devices and the network of the host; /proc/sys is read-only.
BOOT = """
root=$1 aside=$2 package=$3
mount -t tmpfs none "$aside/memory"
cd "$aside/memory"
mkdir upper work machine
mount -t overlay none -o "lowerdir=$root,upperdir=upper,workdir=work" machine
cp "$package" machine/package.deb
chroot machine dpkg --install /package.deb >&2
cp -r "$aside/etc" machine/
cd machine
mount -t proc none proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs none sys
mount -t cgroup2 none sys/fs/cgroup
mount -t tmpfs -o mode=755 none run
mkdir run/aside
mount --bind "$aside" run/aside
mount -t tmpfs none tmp
mount -t tmpfs -o mode=755 none dev
for name in null zero full random urandom tty; do
    touch dev/$name
    mount --bind /dev/$name dev/$name
done
mkdir dev/shm dev/pts below
mount -t tmpfs none dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 none dev/pts
ln -s pts/ptmx dev/ptmx
pivot_root . below
umount -l /below
mount --make-rshared /  # or no service has the credentials that are mounted for it
exec env -i container=namespaces NOTIFY_SOCKET=/run/aside/notify PATH=/usr/sbin:/usr/bin \
    /lib/systemd/systemd --system --show-status=no
"""


class NotSupported(Exception):
    """A machine cannot run on this host; the message has the reason."""


def run(*command: str | Path) -> str:
    """Run a command, check its exit code, and return its stdout."""
    done = subprocess.run(
        [*map(str, command)], cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@attrs.frozen
class Machine:
    """A booted machine; `init` is the process ID of its first process on this host."""

    init: int

    def run(self, *command: str) -> str:
        """Run a command in the machine as root, check its exit code, and return its stdout."""
        return run("nsenter", f"--target={self.init}", "-m", "-p", "-u", "-i", "-C", *command)


@contextmanager
def boot(root: Path, aside: Path, package: Path) -> Iterator[Machine]:
    """Run a machine from the system in `root`, with a package installed.

    Args:
        aside: a directory with only ``etc``, which is copied over the machine's.

    Raises:
        NotSupported: this host cannot run a machine.
    """
    (aside / "memory").mkdir()
    parent = cgroup.current_cgroup()
    if parent is None:
        raise NotSupported("no cgroup v2 is mounted")
    group = parent / f"golo-agent-machine-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        raise NotSupported(str(error)) from None
    join = 'echo $$ > "$0" && exec "$@"'
    namespaces = ["--mount", "--pid", "--uts", "--ipc", "--cgroup", "--propagation=private"]
    command = ["unshare", "--fork", "--kill-child", *namespaces, "/bin/sh", "-ec", BOOT, "sh"]
    with ExitStack() as closing:
        closing.callback(cgroup.remove, group)
        notify = closing.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        notify.bind(str(aside / "notify"))
        log = closing.enter_context((aside / "log").open("wb"))
        machine = closing.enter_context(
            subprocess.Popen(
                ["/bin/sh", "-c", join, group / "cgroup.procs", *command, root, aside, package],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        )
        closing.callback(machine.kill)
        if not _is_up(notify, machine):
            raise NotSupported((aside / "log").read_text())
        children = Path(f"/proc/{machine.pid}/task/{machine.pid}/children")
        yield Machine(int(children.read_text()))


def _is_up(notify: socket.socket, machine: subprocess.Popen[bytes]) -> bool:
    """Return whether the machine has booted; False if it has ended."""
    ended = os.pidfd_open(machine.pid)
    try:
        while notify in select.select([notify, ended], [], [], BOOT_SECONDS)[0]:
            if b"READY=1" in notify.recv(4096):
                return True
        return False
    finally:
        os.close(ended)
