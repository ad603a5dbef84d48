"""Commands run as another user, who need not be able to enter the directories on the way to them.

In a mount namespace of its own each such directory is replaced by one that everybody may enter, and
that has nothing but what is needed.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

import goloagent
from goloagent.sandbox import cgroup

# What an agent is made of.
NEEDED = (Path(sys.prefix), Path(sys.base_prefix), Path(goloagent.__file__).parents[1])
# Comes as far as a load test would, kept together in the way named, as whoever runs it.
ATTEMPT = """
import sys
from goloagent.sandbox.isolation import probe, backends
(way,) = (way for way in backends("tests/") if way.name == sys.argv[1])
sys.exit(probe(way, None))
"""


class Unable(Exception):
    """Nobody's load tests cannot be held in a containment here; the message says why."""


@attrs.frozen
class Nobody:
    """How to be nobody, by the command `become`, and what keeps nobody's load tests together."""

    become: tuple[str, ...]
    containment: str

    def run(self, *arguments: str) -> subprocess.Popen[str]:
        """Run Python as nobody."""
        return subprocess.Popen(
            [*self.become, sys.executable, "-c", *arguments],
            cwd="/",
            env=os.environ | {"PYTHONPATH": str(Path(goloagent.__file__).parents[1])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@contextmanager
def nobody(containment: str, hardened: bool = False) -> Iterator[Nobody]:
    """Be able to be nobody, whose load tests this containment can hold.

    Raises:
        Unable: that cannot be had.
    """
    if os.geteuid() != 0:
        raise Unable("only root can become another user")
    with tempfile.TemporaryDirectory() as aside, _delegated(containment == "cgroup") as delegated:
        nobody = Nobody(become("nobody", Path(aside), delegated, hardened), containment)
        with nobody.run(ATTEMPT, containment) as attempted:
            refusal = attempted.communicate(timeout=30)[1].strip()
        if attempted.returncode:
            raise Unable(f"no {containment} is to be had here: {refusal}")
        yield nobody
        for kept in Path(aside).iterdir():
            kept.rmdir()


@contextmanager
def _delegated(wanted: bool) -> Iterator[Path | None]:
    """Delegate a cgroup to nobody, as systemd does it; None where it cannot be made."""
    own = cgroup.current_cgroup() if wanted else None
    directory = None if own is None else own / f"golo-agent-tests-{os.getpid()}"
    try:
        if directory is not None:
            directory.mkdir()
    except OSError:
        directory = None
    if directory is None:
        yield None
        return
    for name in ("", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
        shutil.chown(directory / name, "nobody")
    yield directory
    left = [path for path in directory.iterdir() if path.is_dir()]
    cgroup.remove(directory)
    assert left == []


def become(
    user: str, aside: Path, cgroup: Path | None = None, hardened: bool = False
) -> tuple[str, ...]:
    """Return a command for root that executes what follows it as `user`, in no other group.

    Args:
        aside: an empty directory, where the command sees what it replaces.
        cgroup: one to do it in.
        hardened: whether kernel variables are read-only, as by systemd's ProtectKernelTunables.
    """
    entry = pwd.getpwnam(user)
    steps = ["set -e"]
    if cgroup is not None:
        steps.append("echo $$ > " + shlex.quote(str(cgroup / "cgroup.procs")))
    if hardened:
        steps += ["mount --bind /proc/sys /proc/sys", "mount -o remount,bind,ro /proc/sys"]
    for number, (closed, needed) in enumerate(_closed().items()):
        kept = aside / str(number)
        steps += [
            shlex.join(["mkdir", "-p", str(kept)]),
            shlex.join(["mount", "--rbind", str(closed), str(kept)]),
            shlex.join(["mount", "-t", "tmpfs", "-o", "mode=755", "none", str(closed)]),
        ]
        for name in sorted(needed):
            steps += [
                shlex.join(["mkdir", str(closed / name)]),
                shlex.join(["mount", "--rbind", str(kept / name), str(closed / name)]),
            ]
    identity = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    steps.append(shlex.join(["exec", "setpriv", *identity]) + ' "$@"')
    return ("unshare", "--mount", "/bin/sh", "-c", "\n".join(steps), "sh")


def _closed() -> dict[Path, set[str]]:
    """Return what not everybody may enter, outer directories first, and what is needed in each."""
    closed: dict[Path, set[str]] = {}
    for path in NEEDED:
        real = path.resolve()
        for directory in reversed(real.parents):
            if not directory.stat().st_mode & stat.S_IXOTH:
                closed.setdefault(directory, set()).add(real.relative_to(directory).parts[0])
    return dict(sorted(closed.items(), key=lambda item: len(item[0].parts)))
