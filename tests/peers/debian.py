"""A fresh Debian with systemd, run as a machine of its own in namespaces of the kernel.

Its files are in memory, in an overlay above the directory that it was made in.
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
# Programs that build the Debian package and a fresh Debian to install it in.
TOOLS = {
    "/usr/bin/pip3": "python3-pip",
    "dh": "debhelper",
    "dpkg-buildpackage": "dpkg-dev",
    "mmdebstrap": "mmdebstrap",
}
missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]

# Of the system below, the machine has its devices and its network; /proc/sys is not its own.
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


class Unable(Exception):
    """No machine can be run here; the message says why."""


def run(*command: str | Path) -> str:
    """Run a command to its end, which must be a good one, and return what it printed."""
    done = subprocess.run(
        [*map(str, command)], cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@attrs.frozen
class Machine:
    """A machine that has started everything; `init` is its first process, as we see it."""

    init: int

    def run(self, *command: str) -> str:
        """Run a command in it, as root, to its good end, and return what it printed."""
        return run("nsenter", f"--target={self.init}", "-m", "-p", "-u", "-i", "-C", *command)


@contextmanager
def boot(root: Path, aside: Path, package: Path) -> Iterator[Machine]:
    """Run a machine from the system in `root`, with a package installed.

    Args:
        aside: an empty directory but for ``etc``, which is laid over the machine's.

    Raises:
        Unable: this machine cannot run one.
    """
    (aside / "memory").mkdir()
    parent = cgroup.current_cgroup()
    if parent is None:
        raise Unable("no cgroup v2 is mounted")
    group = parent / f"golo-agent-machine-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        raise Unable(str(error)) from None
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
            raise Unable((aside / "log").read_text())
        children = Path(f"/proc/{machine.pid}/task/{machine.pid}/children")
        yield Machine(int(children.read_text()))


def _is_up(notify: socket.socket, machine: subprocess.Popen[bytes]) -> bool:
    """Wait until the machine has said that it has started everything, or has ended."""
    ended = os.pidfd_open(machine.pid)
    try:
        while notify in select.select([notify, ended], [], [], BOOT_SECONDS)[0]:
            if b"READY=1" in notify.recv(4096):
                return True
        return False
    finally:
        os.close(ended)
